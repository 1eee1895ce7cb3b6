"""What a node says to everybody who may talk to it: hello and status."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from node.message import Empty, Message
from node.models import Node, Onboarding
from node.registry import Call, behavior
from node.services.ledger import ledger

HELLO_TOPIC = "/nunet/hello"


class DidDocument(BaseModel):
    """A DID as it is written in the reference's messages."""

    uri: str


class HelloResponse(Message):
    """Who answers."""

    did: DidDocument = Field(alias="DID")


class StatusResponse(Message):
    """Whether the node works, and what it offers. No configuration, no names, no addresses."""

    status: str = Field(alias="Status", description="OK or ERROR.")
    resources: dict[str, Any] | None = Field(
        default=None, alias="Resources", description="What is free of what the machine offers."
    )


def _hello(node: Node) -> HelloResponse:
    return HelloResponse(did=DidDocument(uri=node.identity.did))


@behavior("/public/hello", request=Empty, response=HelloResponse)
def hello(call: Call, request: Empty) -> HelloResponse:
    """Say who this node is."""
    return _hello(call.node)


@behavior("/broadcast/hello", request=Empty, response=HelloResponse, topic=HELLO_TOPIC)
def broadcast_hello(call: Call, request: Empty) -> HelloResponse:
    """Say who this node is, to a broadcast on the topic of greetings."""
    return _hello(call.node)


@behavior("/public/status", request=Empty, response=StatusResponse)
def status(call: Call, request: Empty) -> StatusResponse:
    """Say whether this node works and what it has to offer."""
    if not Onboarding.objects.filter(node=call.node).exists():
        return StatusResponse(status="OK")
    return StatusResponse(status="OK", resources=ledger(call.node).free.document())

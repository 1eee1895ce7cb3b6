"""What a node says to everybody who may talk to it: hello and status."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from node.message import Empty, Message
from node.models import Onboarding
from node.registry import Call, behavior
from node.services.hello import greeted
from node.services.ledger import ledger

HELLO_TOPIC = "/nunet/hello"


class DidDocument(BaseModel):
    """A DID as it is written in the reference's messages."""

    uri: str


class HelloRequest(Message):
    """Nothing, as the reference's nodes send it; a site adds its time, where it is, and what it knows already."""

    time: int | None = Field(None, alias="Time", ge=0, description="The sender's clock, in ns since 1970.")
    record: dict[str, Any] | None = Field(None, alias="Record", description="Its signed address record.")
    since: int = Field(0, alias="Since", ge=0, description="Cursor of the revocations it has seen.")


class HelloResponse(Message):
    """Who answers; and, to a site that has told its time, the clocks, addresses and revocations."""

    did: DidDocument = Field(alias="DID")
    time: int | None = Field(None, alias="Time", description="The clock here, in ns since 1970.")
    clock: str | None = Field(None, alias="Clock", description="Said when the clocks differ too much.")
    record: dict[str, Any] | None = Field(None, alias="Record", description="Signed address record.")
    revocations: dict[str, Any] | None = Field(None, alias="Revocations", description="Token list.")
    cursor: int | None = Field(None, alias="Cursor", description="To ask with next time.")
    more: bool | None = Field(None, alias="More", description="Ask again at once: there is more.")


class StatusResponse(Message):
    """Whether the node works, and what it offers. No configuration, no names, no addresses."""

    status: str = Field(alias="Status", description="OK or ERROR.")
    resources: dict[str, Any] | None = Field(
        default=None, alias="Resources", description="What is free of what the machine offers."
    )


def _hello(call: Call, request: HelloRequest) -> HelloResponse:
    did = DidDocument(uri=call.node.identity.did)
    if request.time is None or call.source != "peer":
        return HelloResponse(did=did)
    return HelloResponse(did=did, **greeted(call.invoker, request.time, request.record, request.since))


@behavior("/public/hello", request=HelloRequest, response=HelloResponse)
def hello(call: Call, request: HelloRequest) -> HelloResponse:
    """Say who this node is; with another site compare clocks and tell what has been revoked."""
    return _hello(call, request)


@behavior("/broadcast/hello", request=HelloRequest, response=HelloResponse, topic=HELLO_TOPIC)
def broadcast_hello(call: Call, request: HelloRequest) -> HelloResponse:
    """Say who this node is, to a broadcast on the topic of greetings."""
    return _hello(call, request)


@behavior("/public/status", request=Empty, response=StatusResponse)
def status(call: Call, request: Empty) -> StatusResponse:
    """Say whether this node works and what it has to offer."""
    if not Onboarding.objects.filter(node=call.node).exists():
        return StatusResponse(status="OK")
    return StatusResponse(status="OK", resources=ledger(call.node).free.document())

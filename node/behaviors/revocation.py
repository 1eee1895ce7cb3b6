"""Revocations from other sites."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from capabilities.revocations import revocations_accept
from capabilities.tokens import TokenList
from node.message import Message
from node.registry import Call, behavior

REVOCATION_TOPIC = "/nunet/revocation"


class RevokeBroadcastRequest(Message):
    """Revocations as a token list; who brings them does not matter, each is signed by its issuer."""

    token: dict[str, Any] = Field(alias="Token", description="Token list.")


class RevokeBroadcastResponse(Message):
    """How many were new here."""

    ok: bool = Field(True, alias="OK")
    added: int = Field(0, alias="Added")


@behavior(
    "/dms/cap/revoke/broadcast",
    request=RevokeBroadcastRequest,
    response=RevokeBroadcastResponse,
    changes=True,
    topic=REVOCATION_TOPIC,
)
def revoke_broadcast(call: Call, request: RevokeBroadcastRequest) -> RevokeBroadcastResponse:
    """Take in revocations: what they revoke counts no longer from this moment on, and other sites are told."""
    return RevokeBroadcastResponse(added=revocations_accept(TokenList.of_document(request.token).tokens))

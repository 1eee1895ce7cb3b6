"""A token taken apart: for whoever holds one and wants to know what it is worth."""

from __future__ import annotations

import time
from typing import Any

from pydantic import Field

from capabilities.inspection import links
from capabilities.selectors import site_context
from capabilities.tokens import TokenList
from node.message import Message
from node.registry import Call, behavior


class CapInspectRequest(Message):
    """What to take apart."""

    token: dict[str, Any] = Field(alias="Token", description="A token, or a token list.")


class Inspected(Message):
    """One token: its links from itself to the root of its chain."""

    links: list[dict[str, Any]] = Field(alias="Links", description="With what does not hold, if anything.")
    holds: bool = Field(alias="Holds", description="Whether every link holds here and now.")


class CapInspectResponse(Message):
    """Every token of the list."""

    tokens: list[Inspected] = Field(alias="Tokens")


@behavior("/dms/cap/inspect", request=CapInspectRequest, response=CapInspectResponse)
def cap_inspect(call: Call, request: CapInspectRequest) -> CapInspectResponse:
    """Show each link of a token, and of what it rests on: who gave whom what, until when, and whether it holds.

    Whether somebody accepts the chain is another question: `/dms/cap/check`.
    """
    now_ns, revoked = time.time_ns(), site_context().anchors.revoked
    found = []
    for token in TokenList.of_any(request.token).tokens:
        chain = [link.document() for link in links(token, now_ns, revoked)]
        found.append(Inspected(links=chain, holds=all(link["holds"] for link in chain)))
    return CapInspectResponse(tokens=found)

"""What this site and each other site may do at each other, read from the anchors."""

from __future__ import annotations

from typing import Any

from capabilities.moments import moment_of
from capabilities.selectors import site_context
from capabilities.tokens import Token
from node.invitations import words_of


def agreements() -> dict[str, dict[str, Any]]:
    """Return for each other DID what `they` may do here, what `we` may do there, and `until` when."""
    context = site_context()
    found: dict[str, dict[str, Any]] = {}

    def add(did: str, side: str, token: Token) -> None:
        entry = found.setdefault(did, {"they": [], "we": [], "until": None})
        entry[side] += [(path, words_of(path)) for path in token.capabilities]
        ends = moment_of(token.expires_ns)
        entry["until"] = ends if entry["until"] is None else min(entry["until"], ends)

    for token in context.anchors.require:
        if token.issuer == context.did:
            add(token.subject, "they", token)
    for token in context.anchors.provide:
        if token.subject == context.did:
            add(token.issuer, "we", token)
    return found

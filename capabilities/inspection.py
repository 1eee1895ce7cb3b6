"""A token taken apart: each link of its chain with what holds and what does not. Pure, needs no site."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from capabilities.chains import check_link, check_signature
from capabilities.moments import moment_of
from capabilities.tokenform import Token, TokenFault


@dataclass(frozen=True, slots=True)
class Link:
    """One link, `position` 0 being the token itself. `faults` is empty when it holds."""

    position: int
    token: Token
    faults: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the link as JSON; `expires` is the nanosecond count, `expires_at` the same as a time."""
        token = self.token
        return {
            "position": self.position,
            "action": token.action,
            "issuer": token.issuer,
            "subject": token.subject,
            "audience": token.audience,
            "topics": list(token.topics),
            "capabilities": list(token.capabilities),
            "depth": token.depth,
            "expires": token.expires_ns,
            "expires_at": moment_of(token.expires_ns).isoformat(),
            "key": token.key,
            "holds": not self.faults,
            "faults": list(self.faults),
        }


def links(token: Token, now_ns: int, revoked: Container[str] = ()) -> tuple[Link, ...]:
    """Return every link from the token to the root of its chain, each with all that is wrong with it.

    `revoked` holds the keys of revoked tokens. A revocation stands by itself and does not expire here.
    """
    return tuple(
        Link(position, link, tuple(_faults(link, position, now_ns, revoked)))
        for position, link in enumerate(token.links())
    )


def _faults(link: Token, position: int, now_ns: int, revoked: Container[str]) -> Iterator[str]:
    if link.action != "revoke":
        if link.expires_ns < now_ns:
            yield f"it expired at {moment_of(link.expires_ns):%Y-%m-%d %H:%M:%S} UTC"
        if link.depth and position > link.depth:
            yield f"its depth allows {link.depth} more links, and there are {position}"
        if link.key in revoked:
            yield "it is revoked"
    with _told() as said:
        check_signature(link)
    yield from said
    if link.action != "revoke" and link.chain is not None:
        with _told() as said:
            check_link(link, link.chain)
        yield from said


@contextmanager
def _told() -> Iterator[list[str]]:
    said: list[str] = []
    try:
        yield said
    except TokenFault as fault:
        said.append(fault.detail.removeprefix("not authorized: "))

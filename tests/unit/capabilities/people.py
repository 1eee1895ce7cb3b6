"""Keys with names, and the chains between them, for the token tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.tokens import Token, issue

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
LATER = NOW + 3600 * SECOND

KEYS = {name: PrivateKey.generate() for name in ("org", "unit", "bob", "actor", "node", "nodeid", "eve")}
DIDS = {name: did_of(key.public) for name, key in KEYS.items()}


def token(issuer: str, subject: str, *paths: str, **more: Any) -> Token:
    """Return a token between two of the people; a delegation for an hour unless `more` says otherwise."""
    values: dict[str, Any] = {"action": "delegate", "expires_ns": LATER} | more
    if "audience" in values:
        values["audience"] = DIDS.get(values["audience"], values["audience"])
    return issue(KEYS[issuer], subject=DIDS[subject], capabilities=paths, **values)


def chain(*paths: str, **last: Any) -> Token:
    """Return org -> unit -> bob -> actor, the last an invoke token."""
    first = token("org", "unit", "/dms", "/public")
    second = token("unit", "bob", "/dms/node", "/public", chain=first)
    return token(
        "bob",
        "actor",
        *(paths or ("/dms/node/peers",)),
        **({"action": "invoke", "audience": "nodeid", "chain": second} | last),
    )


def signed_by(issuer: str, forged: Token) -> Token:
    """Return `forged` with a good signature of `issuer`, whatever it claims."""
    bare = replace(forged, signature=b"")
    return replace(bare, signature=KEYS[issuer].sign(bare.signed_bytes()))

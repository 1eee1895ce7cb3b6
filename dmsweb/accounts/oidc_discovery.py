"""What an identity provider says about itself; the standard library alone, for `./dms doctor`, too."""

from __future__ import annotations

from typing import Any

WELL_KNOWN = "/.well-known/openid-configuration"
NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")


class Distrusted(Exception):
    """The provider's answer is not believed; the text says why."""


def discovery_address(issuer: str) -> str:
    """Return where the provider `issuer` publishes its discovery document."""
    return issuer if "/.well-known/" in issuer else issuer.rstrip("/") + WELL_KNOWN


def discovered(document: Any, issuer: str) -> dict[str, Any]:
    """Return a discovery document that is complete and speaks for `issuer`; Distrusted otherwise."""
    if not isinstance(document, dict):
        raise Distrusted("its discovery document is no JSON object")
    missing = [name for name in NEEDED if not isinstance(document.get(name), str) or not document[name]]
    if missing:
        raise Distrusted(f"its discovery document lacks {', '.join(missing)}")
    wanted = issuer.split("/.well-known/", 1)[0].rstrip("/")
    if document["issuer"].rstrip("/") != wanted:
        raise Distrusted(f"its discovery document speaks for {document['issuer'][:200]}, not for {wanted}")
    return document

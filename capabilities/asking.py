"""Who asks in a web request: the identity of the logged-in user, from where, and by which way in."""

from __future__ import annotations

from typing import Any

from capabilities.models import Identity
from capabilities.services import identity_for_user

# A reverse proxy on the same machine may say for whom it asks; nobody else may.
LOCAL = frozenset({"127.0.0.1", "::1", ""})


def identity_of(request: Any) -> Identity:
    """Return the identity of the request's user, looked up once per request."""
    identity: Identity | None = getattr(request, "_dms_identity", None)
    if identity is None:
        identity = request._dms_identity = identity_for_user(request.user)
    return identity


def address_of(request: Any) -> str:
    """Return the address of whoever asks, for the audit log."""
    address: str = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if address in LOCAL and forwarded:
        return str(forwarded.rsplit(",", 1)[-1].strip()[:64])
    return address


def source_of(request: Any) -> str:
    """Return the way in, for the audit log: the command line names itself, everything else here is REST."""
    return "cli" if request.META.get("HTTP_USER_AGENT", "").startswith("dms-cli") else "rest"

"""Who asks in a web request: the identity of the logged-in user, from where, and by which way in."""

from __future__ import annotations

from typing import Any

from capabilities.models import Identity
from capabilities.services import identity_for_user, narrowed, remember


def identity_of(request: Any) -> Identity:
    """Return the identity of the request's user, looked up once per request; an API token may narrow it."""
    identity: Identity | None = getattr(request, "_dms_identity", None)
    if identity is None:
        identity = request._dms_identity = remember(identity_for_user(request.user))
        narrowed(identity, getattr(getattr(request, "auth", None), "scope", None))
    return identity


def address_of(request: Any) -> str:
    """Return the address of whoever asks, for the audit log."""
    return str(request.META.get("REMOTE_ADDR", ""))


def source_of(request: Any) -> str:
    """Return the way in, for the audit log: the command line names itself, everything else here is REST."""
    return "cli" if request.META.get("HTTP_USER_AGENT", "").startswith("dms-cli") else "rest"

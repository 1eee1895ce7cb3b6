"""The person behind a page: her identity, and the door as her."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest

from capabilities.models import Identity
from capabilities.services import identity_for_user
from node import door
from node.models import Node

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser


def identity_of(request: HttpRequest) -> Identity:
    """Return the identity of who is logged in, read once a request; only behind `login_required`."""
    known = getattr(request, "dms_identity", None)
    if known is None:
        known = identity_for_user(cast("AbstractUser", request.user))
        request.dms_identity = known  # type: ignore[attr-defined]
    return cast(Identity, known)


def invoke(
    request: HttpRequest, path: str, payload: dict[str, Any], *, node: Node | None = None, source: str = "web"
) -> dict[str, Any]:
    """Invoke a behavior as the person and return its response; Refusal when any check says no."""
    answer = door.invoke(
        identity=identity_of(request),
        path=path,
        payload=payload,
        source=source,
        remote_addr=request.META.get("REMOTE_ADDR", ""),
        node=node,
    )
    return answer.wire()

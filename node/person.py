"""The door as the person behind a page."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from capabilities.asking import address_of, identity_of
from node import door
from node.models import Node


def invoke(
    request: HttpRequest, path: str, payload: dict[str, Any], *, node: Node | None = None, source: str = "web"
) -> dict[str, Any]:
    """Invoke a behavior as the person and return its response; Refusal when any check says no."""
    answer = door.invoke(
        identity=identity_of(request),
        path=path,
        payload=payload,
        source=source,
        remote_addr=address_of(request),
        node=node,
    )
    return answer.wire()


def demand(request: HttpRequest, *paths: str) -> None:
    """Refuse a page to whoever may not invoke one of `paths`; the answer names the capability that is missing."""
    for path in paths:
        if not door.may(identity_of(request), path):
            raise PermissionDenied(
                f"This needs the capability {path}. Ask an administrator of this node for it."
            )

"""The door as the person behind a page."""

from __future__ import annotations

from typing import Any

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

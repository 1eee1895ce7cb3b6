"""Reading rows takes a capability, too: each view names it, and one that names none is closed to narrowed tokens."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from capabilities.asking import identity_of
from capabilities.refusal import Refusal
from capabilities.services import authorize, scope_of
from node.dispatch import not_authorized

# These views decide by themselves, or say nothing that the holder of a token does not know.
BY_THEMSELVES = ""


class Holds(BasePermission):
    """The caller is logged in and holds the view's `capability` (one path, or one for each action or method)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Say whether she is logged in; Refusal that names the capability when she lacks it."""
        if not (request.user and request.user.is_authenticated):
            return False
        path = capability_of(view, request.method or "")
        identity = identity_of(request)
        if path is None:
            scope = scope_of(identity)
            if scope is not None and not scope.whole:
                raise Refusal(
                    "not_authorized",
                    "the API token in use covers only chosen capabilities, and this needs all",
                    status=403,
                    hint="use a token without chosen capabilities",
                )
        elif path:
            decision = authorize(identity, path)
            if not decision.allowed:
                raise not_authorized(str(identity), path, decision.why)
        return True


def capability_of(view: Any, method: str) -> str | None:
    """Return the capability that the request takes; empty where the view decides by itself, None if it names none."""
    named = getattr(view, "capability", None)
    if isinstance(named, dict):
        found: str | None = named.get(getattr(view, "action", None) or method.lower(), named.get(""))
        return found
    return named

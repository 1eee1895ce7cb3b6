"""What every page's template knows: the way around, the node's state, whether this is a partial for a live page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from capabilities.asking import identity_of
from capabilities.services import is_root
from node.door import may
from node.models import Node
from node.presence import node_state
from node.visible import SEES_PEERS


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the navigation; `key` is the letter after `g` that opens it."""

    title: str
    icon: str
    url: str
    active: bool
    key: str = ""


def navigation(
    path: str, *, root: bool, staff: bool, people: bool = False, peers: bool = False
) -> list[Entry]:
    """Return the entries a person may open."""
    wanted = [
        ("Overview", "home", "overview", "o", True),
        ("Deployments", "stack-2", "deployments", "d", True),
        ("Nodes", "server-2", "nodes", "n", True),
        ("Capabilities", "certificate", "capabilities", "c", True),
        ("People", "users", "people", "p", people),
        ("Peers", "topology-star-3", "peers", "s", peers),
        ("Audit", "list-details", "audit", "a", root),
        ("Admin", "settings", "admin:index", "", staff),
    ]
    entries = []
    for title, icon, name, key, shown in wanted:
        if not shown:
            continue
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        active = path == "/" if url == "/" else path.startswith(url)
        entries.append(Entry(title, icon, url, active, key))
    return entries


def site(request: HttpRequest) -> dict[str, Any]:
    """Return the values of the bar at the top; a live page's partial has no bar."""
    if request.headers.get("X-Live"):
        return {"layout": "bare.html", "identity": _identity(request)}
    identity = _identity(request)
    if identity is None:
        return {"layout": "base.html"}
    root = is_root(identity)
    return {
        "layout": "base.html",
        "identity": identity,
        "navigation": navigation(
            request.path,
            root=root,
            staff=bool(getattr(request.user, "is_staff", False)),
            people=may(identity, "/dms/user/list"),
            peers=may(identity, SEES_PEERS),
        ),
    } | bar()


def bar() -> dict[str, Any]:
    """Return what the node's state in the bar shows."""
    node = Node.objects.select_related("onboarding").order_by("created_at").first()
    return {"bar_node": node, "bar_state": node_state(node)}


def _identity(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    return identity_of(request)

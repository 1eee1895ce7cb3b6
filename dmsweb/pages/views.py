"""Overview and the bar's state: pages that read from several rooms."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from capabilities.asking import identity_of
from deployments import states
from deployments.listing import deployment_rows, light
from deployments.quota_view import quota_meters
from deployments.selectors import latest_events, visible_to
from dmsweb.pages.context import bar
from node import door
from node.models import Node
from node.picture import node_meters
from node.presence import node_state
from node.visible import node_events_visible_to

SHOWN = 8
ONBOARD = "/dms/node/onboarding/onboard"
NEW = "/dms/node/deployment/new"


@require_safe
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """Show the node, what it offers, what runs, and what happened last."""
    identity = identity_of(request)
    node = Node.objects.select_related("onboarding", "identity").order_by("created_at").first()
    mine = visible_to(identity)
    unfinished = list(light(mine.filter(status__in=states.UNFINISHED)).order_by("-created_at")[:SHOWN])
    recent: list[object] = []
    if len(unfinished) < SHOWN:
        ended = light(mine.filter(status__in=states.TERMINAL)).order_by("-created_at")
        unfinished += list(ended[: SHOWN - len(unfinished)])
    rows = deployment_rows(unfinished)
    recent += latest_events(identity, SHOWN)
    if node is not None:
        recent += list(node_events_visible_to(identity).filter(node=node).order_by("-at", "-id")[:SHOWN])
    recent.sort(key=lambda event: event.at, reverse=True)  # type: ignore[attr-defined]
    context = {
        "node": node,
        "node_state": node_state(node),
        "meters": node_meters(node) if node else [],
        "rows": rows,
        "quota": quota_meters(identity),
        "events": recent[:SHOWN],
        "may_onboard": door.may(identity, ONBOARD),
        "may_deploy": door.may(identity, NEW),
    }
    return render(request, "pages/overview.html", context)


@require_safe
@login_required
def bar_state(request: HttpRequest) -> HttpResponse:
    """Return the node's state in the bar, for live pages."""
    return render(request, "parts/bar_state.html", bar())

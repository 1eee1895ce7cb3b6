"""Overview, the bar's state, the audit log: pages that read from several rooms."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from capabilities.asking import identity_of
from capabilities.models import AuditEntry, Identity
from capabilities.selectors import audit_visible_to
from capabilities.services import is_root
from deployments import states
from deployments.listing import SEARCH_MAX, deployment_rows, light
from deployments.quota_view import quota_meters
from deployments.selectors import latest_events, visible_to
from dmsweb.pages.context import bar
from node import door
from node.models import Node
from node.picture import node_meters
from node.presence import node_state
from node.visible import node_events_visible_to

SHOWN = 8
AUDIT_ROWS = 50
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


@require_safe
@login_required
def audit(request: HttpRequest) -> HttpResponse:
    """Show the audit log: all of it to a root, to others what they did themselves."""
    identity = identity_of(request)
    rows = audit_visible_to(identity, is_root(identity)).defer("request", "token_chain")
    search, outcome = request.GET.get("q", "").strip()[:SEARCH_MAX], request.GET.get("outcome", "")
    if search:
        known = Identity.objects.filter(name__icontains=search).values_list("did", flat=True)
        rows = rows.filter(Q(path__icontains=search) | Q(actor__icontains=search) | Q(actor__in=known))
    if outcome in AuditEntry.Outcome.values:
        rows = rows.filter(outcome=outcome)
    page = Paginator(rows, AUDIT_ROWS).get_page(request.GET.get("page"))
    dids = {entry.actor for entry in page.object_list}
    context = {
        "page": page,
        "names": dict(Identity.objects.filter(did__in=dids).values_list("did", "name")),
        "search": search,
        "outcome": outcome,
        "outcomes": AuditEntry.Outcome.values,
    }
    return render(request, "pages/audit.html", context)

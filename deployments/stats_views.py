"""What a deployment's allocations use, for its page: the table of now, and the series of the charts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from capabilities.asking import identity_of
from capabilities.refusal import Refusal
from deployments.history import current
from deployments.models import Allocation, Deployment
from deployments.selectors import visible_to
from node.person import invoke

STATS = "/dms/node/allocation/stats"
SHOWN = 50
WINDOWS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def figures(deployment: Deployment) -> list[dict[str, Any]]:
    """Return what each running allocation uses now, the first fifty of them."""
    running = deployment.allocations.filter(status=Allocation.Status.RUNNING)
    rows = running.select_related("deployment", "node").order_by("level", "pk")[:SHOWN]
    return list(current(rows, timezone.now()).values())


@require_safe
@login_required
def deployment_stats(request: HttpRequest, pk: str) -> HttpResponse:
    """Show what the allocations use now: the part of the page that a new sample refreshes."""
    deployment = get_object_or_404(visible_to(identity_of(request)), pk=pk)
    context = {"it": deployment, "figures": figures(deployment)}
    return render(request, "deployments/stats_now.html", context)


@require_safe
@login_required
def deployment_series(request: HttpRequest, pk: str) -> JsonResponse:
    """Return one allocation's history for charts: `allocation` its name, `window` hour, day or week."""
    deployment = get_object_or_404(visible_to(identity_of(request)), pk=pk)
    window = WINDOWS.get(request.GET.get("window", ""), WINDOWS["hour"])
    payload = {
        "EnsembleID": deployment.pk,
        "AllocationName": request.GET.get("allocation", ""),
        "From": (timezone.now() - window).isoformat(),
        "Limit": 1,
    }
    try:
        return JsonResponse(invoke(request, STATS, payload))
    except Refusal as refusal:
        return JsonResponse(refusal.problem(), status=refusal.status)

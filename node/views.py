"""Pages of nodes: thin adapters that read what the person may see and write through the door."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from capabilities.asking import identity_of
from capabilities.models import Identity
from capabilities.refusal import Refusal
from node import door
from node.foreign import others
from node.forms import OnboardForm
from node.hardware import HardwareFacts
from node.models import Node
from node.person import demand, invoke
from node.picture import (
    node_meters,
    series,
)
from node.presence import node_state
from node.views_capability import capability_panel
from node.visible import (
    node_events_visible_to,
    nodes_visible_to,
    ports_visible_to,
    reservations_visible_to,
)

Row = TypeVar("Row", bound=Model)
ONBOARD = "/dms/node/onboarding/onboard"
OFFBOARD = "/dms/node/onboarding/offboard"
DRAIN = "/dms/node/drain"
SHOWN = 100
WINDOWS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def _nodes(request: HttpRequest) -> QuerySet[Node]:
    return nodes_visible_to(identity_of(request)).select_related("onboarding", "identity").order_by("name")


def _of(node: Node, rows: QuerySet[Row]) -> QuerySet[Row]:
    return rows.filter(node=node)


@require_safe
@login_required
def node_list(request: HttpRequest) -> HttpResponse:
    """Show the machines of this site."""
    rows = [(node, node_state(node), HardwareFacts.parse(node.hardware)) for node in _nodes(request)]
    return render(request, "node/list.html", {"rows": rows})


@require_safe
@login_required
def node_detail(request: HttpRequest, pk: str) -> HttpResponse:
    """Show one machine: what it is, offers, holds and did."""
    identity = identity_of(request)
    node = get_object_or_404(_nodes(request), pk=pk)
    context = {
        "node": node,
        "state": node_state(node),
        "facts": HardwareFacts.parse(node.hardware),
        "traits": HardwareFacts.parse(node.hardware).cpu,
        "meters": node_meters(node),
        "others": others(node, identity),
        "capability": capability_panel(node, identity),
        "reservations": list(_of(node, reservations_visible_to(identity)).order_by("-created_at")[:SHOWN]),
        "ports": list(_of(node, ports_visible_to(identity)).order_by("port")[:SHOWN]),
        "events": list(_of(node, node_events_visible_to(identity)).order_by("-at", "-id")[:SHOWN]),
        "window": request.GET.get("window", "hour"),
        "windows": tuple(WINDOWS),
    } | _offers(identity)
    return render(request, "node/detail.html", context)


@require_safe
@login_required
def node_samples(request: HttpRequest, pk: str) -> JsonResponse:
    """Return the usage of a machine as series for a chart: `window` hour, day or week; `series` their names."""
    node = get_object_or_404(_nodes(request), pk=pk)
    answer = series(node, timezone.now(), WINDOWS.get(request.GET.get("window", ""), WINDOWS["hour"]))
    if names := request.GET.get("series"):
        answer["series"] = [line for line in answer["series"] if line["name"] in names.split(",")]
    return JsonResponse(answer)


@login_required
@require_http_methods(["GET", "POST"])
def node_onboard(request: HttpRequest, pk: str) -> HttpResponse:
    """Show the onboarding form; a POST onboards the machine or changes what it offers."""
    node = get_object_or_404(_nodes(request), pk=pk)
    demand(request, ONBOARD)
    form = OnboardForm(request.POST or None, node=node)
    if request.method == "POST" and form.is_valid():
        try:
            invoke(request, ONBOARD, form.payload(), node=node)
        except Refusal as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, f"{node.name} offers what you asked for.")
            return redirect("node", pk=node.pk)
    context = {"node": node, "form": form, "change": hasattr(node, "onboarding")}
    return render(request, "node/onboard.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def node_offboard(request: HttpRequest, pk: str) -> HttpResponse:
    """Stop offering the machine."""
    node = get_object_or_404(_nodes(request), pk=pk)
    try:
        invoke(request, OFFBOARD, {}, node=node)
        messages.success(request, f"{node.name} offers nothing any more.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("node", pk=node.pk)


@login_required
@require_POST
def node_drain(request: HttpRequest, pk: str) -> HttpResponse:
    """Begin to drain the machine, or let it take work again."""
    node = get_object_or_404(_nodes(request), pk=pk)
    asked = request.POST
    payload = {
        "Drain": not asked.get("off"),
        "Reason": asked.get("reason", ""),
        "Stop": bool(asked.get("stop")),
    }
    try:
        answer = invoke(request, DRAIN, payload, node=node)
        messages.success(
            request, f"{node.name} {'is being drained' if answer['Draining'] else 'takes work again'}."
        )
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("node", pk=node.pk)


def _offers(identity: Identity) -> dict[str, bool]:
    return {
        "may_onboard": door.may(identity, ONBOARD),
        "may_offboard": door.may(identity, OFFBOARD),
        "may_drain": door.may(identity, DRAIN),
    }

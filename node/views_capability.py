"""Pages of machine capability: measure it, and set its price, location and preferences."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from capabilities.asking import identity_of
from capabilities.models import Identity
from capabilities.refusal import Refusal
from node import door
from node.benchmarks import NAMES, shown
from node.forms_capability import CapabilityForm, hour_lines
from node.models import BenchmarkRun, Node
from node.person import demand, invoke
from node.services import benchmark
from node.visible import nodes_visible_to

BENCHMARK = "/dms/node/benchmark"
CAPABILITY = "/dms/node/capability/set"
PREFERENCES = "/dms/node/preferences/set"


def capability_panel(node: Node, identity: Identity) -> dict[str, Any]:
    """Return what the panel of the node's page shows; preferences name people, so only who may set them sees them."""
    done, newest = benchmark.registered(node), benchmark.newest(node)
    may_set = door.may(identity, PREFERENCES)
    return {
        "figures": _figures(done),
        "measured": done,
        "measuring": newest if newest and newest.status in benchmark.OPEN else None,
        "not_measured": newest if newest and newest.status == "failed" else None,
        "outdated": done is not None and not benchmark.is_current(done, node),
        "wishes": node.preferences if may_set else {},
        "hours": hour_lines(node.preferences.get("opening_hours", {})),
        "may_measure": door.may(identity, BENCHMARK),
        "may_set": may_set and door.may(identity, CAPABILITY),
    }


def _figures(done: BenchmarkRun | None) -> list[tuple[str, dict[str, Any]]]:
    results = done.results if done else {}
    return [(NAMES.get(name, name), found | {"shown": shown(found)}) for name, found in results.items()]


def _node(request: HttpRequest, pk: str) -> Node:
    return get_object_or_404(nodes_visible_to(identity_of(request)), pk=pk)


@login_required
@require_POST
def node_benchmark(request: HttpRequest, pk: str) -> HttpResponse:
    """Ask for a measurement of the machine."""
    node = _node(request, pk)
    try:
        invoke(request, BENCHMARK, {}, node=node)
        messages.success(request, f"{node.name} is being measured; the figures appear here.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("node", pk=node.pk)


@login_required
@require_http_methods(["GET", "POST"])
def node_capability(request: HttpRequest, pk: str) -> HttpResponse:
    """Show the form of price, location and preferences; a POST sets them."""
    node = _node(request, pk)
    demand(request, CAPABILITY, PREFERENCES)
    form = CapabilityForm(request.POST if request.method == "POST" else None, node=node)
    if request.method == "POST" and form.is_valid():
        refused = False
        for path, payload in ((CAPABILITY, form.capability()), (PREFERENCES, form.preferences())):
            try:
                invoke(request, path, payload, node=node)
            except Refusal as refusal:
                form.refuse(refusal)
                refused = True
        if not refused:
            messages.success(request, f"{node.name} bids by what you have set.")
            return redirect("node", pk=node.pk)
    context = {"node": node, "form": form}
    return render(request, "node/capability_form.html", context, status=422 if form.errors else 200)

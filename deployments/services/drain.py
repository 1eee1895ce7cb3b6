"""Drain a node together with what runs on it: services may be asked to end, tasks always finish."""

from __future__ import annotations

from django.db import transaction

from deployments import states
from deployments.models import Allocation, Deployment
from deployments.services.stop import stop_ask
from node.models import Node
from node.registry import Call
from node.services import drain


def node_drain(call: Call, *, reason: str, stop: bool) -> int:
    """Begin to drain the call's node; return how many deployments with services were asked to stop for it."""
    node = call.node
    drain.drain(node, reason=reason, actor=call.invoker.did, now=call.now)
    if not stop:
        return 0
    why = f"{node.name} is being drained" + (f": {reason}" if reason else "")
    asked = 0
    for deployment in _with_services(node):
        with transaction.atomic():
            asked += stop_ask(deployment, f"shutdown because {why}", actor=call.invoker.did)
    return asked


def _with_services(node: Node) -> list[Deployment]:
    here = Allocation.objects.filter(node=node, type="service")
    ids = here.exclude(status__in=states.ALLOCATION_TERMINAL).values("deployment_id")
    return list(Deployment.objects.filter(pk__in=ids, status__in=states.UNFINISHED).order_by("created_at"))


def node_work(node: Node) -> tuple[int, int]:
    """Return how many allocations the node still has, and of how many deployments."""
    left = Allocation.objects.filter(node=node).exclude(status__in=states.ALLOCATION_TERMINAL)
    return left.count(), left.values("deployment_id").distinct().count()

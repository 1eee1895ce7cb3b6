"""Deployments and allocations that have run for as long as they may."""

from __future__ import annotations

from datetime import datetime, timedelta

from deployments import states
from deployments.ensemble.model import Ensemble
from deployments.models import Allocation, Deployment
from deployments.services.stop import stop_ask
from node.models import Node


def overdue_stop(node: Node, now: datetime) -> int:
    """Ask for the end of each; what has tasks only has failed then, services have done what they could."""
    rows = Deployment.objects.filter(
        orchestrator=node, status=states.RUNNING, stop_wanted=False, ensemble__V1__max_runtime__gt=0
    )
    asked = 0
    for row in rows.exclude(running_at=None):
        limit_s = Ensemble.from_document(row.ensemble).max_runtime_s
        if row.running_at is None or not limit_s or now < row.running_at + timedelta(seconds=limit_s):
            continue
        text = f"max_runtime: it has run for {limit_s:g} s"
        if row.only_tasks:
            Deployment.objects.filter(pk=row.pk, stop_wanted=False).update(fail_wanted=True, reason=text)
        asked += stop_ask(row, text)
    return asked


def overdue_allocations(node: Node, now: datetime) -> list[tuple[str, str, str]]:
    """Return executor, execution and why of each attempt on the node that has run longer than its allocation may."""
    rows = Allocation.objects.filter(
        node=node, status=Allocation.Status.RUNNING, stop_wanted=False, spec__max_runtime__gt=0
    )
    found = []
    for executor, execution_id, limit_ns, started_at in rows.values_list(
        "executor", "execution_id", "spec__max_runtime", "started_at"
    ):
        limit_s = int(limit_ns) / 1e9
        if started_at is not None and now >= started_at + timedelta(seconds=limit_s):
            found.append((executor, execution_id, f"it has run for {limit_s:g} s, its max_runtime"))
    return found

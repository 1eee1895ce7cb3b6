"""End deployments that have run for as long as they may."""

from __future__ import annotations

from datetime import datetime, timedelta

from deployments import states
from deployments.ensemble.model import Ensemble
from deployments.models import Deployment
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

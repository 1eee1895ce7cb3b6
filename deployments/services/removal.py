"""Delete deployments that have ended: at once for whoever looks, then their rows in batches, their files after that.

1. One transaction marks a deployment and writes a tombstone for each of its allocations that was ever started.
2. A worker takes the marked ones away, a few thousand rows a transaction, and removes the folder once the rows are
   gone. Killed anywhere, the sweep goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from capabilities.numbers import NUMBERS
from deployments import states
from deployments.models import (
    Allocation,
    AllocationSample,
    AllocationTombstone,
    Bid,
    Deployment,
    DeploymentEvent,
)
from deployments.services.timeline import announce
from node.wake import wake

TAKE_AWAY = "workers.tasks.removal.take_away"
MARK_AT_ONCE = 200
DELETE_AT_ONCE = 2_000


def deployments_delete(keys: Iterable[str], *, actor: str) -> int:
    """Delete those of `keys` that have ended; return how many there were."""
    wanted = list(keys)
    gone = 0
    for start in range(0, len(wanted), MARK_AT_ONCE):
        gone += _mark(wanted[start : start + MARK_AT_ONCE], actor)
    return gone


def deployments_forget(now: datetime) -> int:
    """Delete what has ended long ago; return how many deployments."""
    if not NUMBERS.deployment_kept_s:
        return 0
    over = Deployment.objects.filter(
        status__in=states.TERMINAL,
        delete_wanted=False,
        completed_at__lt=now - timedelta(seconds=NUMBERS.deployment_kept_s),
    )
    return deployments_delete(list(over.values_list("pk", flat=True)), actor="")


def _mark(keys: list[str], actor: str) -> int:
    with transaction.atomic():
        ended = Deployment.objects.filter(pk__in=keys, status__in=states.TERMINAL, delete_wanted=False)
        rows = list(
            ended.select_for_update(of=("self",), no_key=True).only("pk", "name", "owner", "orchestrator")
        )
        Deployment.objects.filter(pk__in=[row.pk for row in rows]).update(delete_wanted=True)
        begun = Allocation.objects.filter(deployment__in=rows).filter(
            Q(attempt__gt=0) | Q(started_at__isnull=False)
        )
        AllocationTombstone.objects.bulk_create(
            [
                tombstone(allocation, actor)
                for allocation in begun.select_related("deployment", "owner", "node")
            ],
            ignore_conflicts=True,
        )
        for row in rows:
            announce(row)
        for node_id in {row.orchestrator_id for row in rows}:
            wake(TAKE_AWAY, queue=f"executor.{node_id}")
    return len(rows)


def tombstone(allocation: Allocation, actor: str) -> AllocationTombstone:
    """Return what stays of an allocation."""
    params = (allocation.spec.get("execution") or {}) if isinstance(allocation.spec, dict) else {}
    return AllocationTombstone(
        allocation_id=allocation.pk,
        deployment_id=allocation.deployment_id,
        deployment_name=allocation.deployment.name,
        name=str(allocation),
        owner_did=allocation.owner.did,
        node_name=allocation.node.name,
        executor=allocation.executor,
        image=str(params.get("image") or ""),
        status=allocation.status,
        reason=allocation.reason,
        exit_code=allocation.exit_code,
        attempts=allocation.attempt,
        created_at=allocation.created_at,
        started_at=allocation.started_at,
        ended_at=allocation.ended_at,
        deleted_at=timezone.now(),
        deleted_by=actor,
    )


def take_away(removed: Callable[[str], None]) -> int:
    """Delete the rows of everything that is marked, and call `removed(id)` after each; return how many."""
    gone = 0
    marked = Deployment.objects.filter(delete_wanted=True, status__in=states.TERMINAL)
    for key in list(marked.values_list("pk", flat=True)):
        for rows in _below(key):
            while chosen := list(rows.order_by("pk").values_list("pk", flat=True)[:DELETE_AT_ONCE]):
                rows.model._default_manager.filter(pk__in=chosen).delete()
        with transaction.atomic():
            Deployment.objects.filter(pk=key, delete_wanted=True).delete()
        removed(key)
        gone += 1
    return gone


def _below(key: str) -> list[QuerySet[Any]]:
    """Return the rows of a deployment of which there may be many; what else hangs on it goes with it."""
    return [
        AllocationSample.objects.filter(allocation__deployment_id=key),
        DeploymentEvent.objects.filter(deployment_id=key),
        Bid.objects.filter(request__deployment_id=key),
    ]

"""The life of one allocation: asked to start, claimed by a worker, started, ended, stopped.

The executor's worker calls these; every change of status is a conditional UPDATE, so that a late or repeated
report changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from capabilities.paging import under
from deployments import states
from deployments.models import DOCUMENTS, Allocation, Deployment
from deployments.services.health import first_health
from deployments.services.manifest import manifest_refresh
from deployments.services.recovery import (
    START,
    attempt_ended,
    attempt_open,
    attempt_started,
    due,
    due_alone,
    execution_id,
    group_goes_on,
    recovers,
)
from deployments.services.timeline import announce, record
from node.models import DOCUMENTS as NODE_DOCUMENTS
from node.services.ledger import allocate, release
from node.wake import wake

STOP = "workers.tasks.execute.stop"
Status = Allocation.Status
# How an execution may end once it is to be stopped, without that being a failure.
STOPPED = frozenset({"stopped", "completed", "exit_code", "killed", "gone", "engine_restarted"})


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution ended: the named cause, its sentence and the exit code if there was one."""

    cause: str
    detail: str = ""
    exit_code: int | None = None


def ask_start(deployment: Deployment, allocations: Iterable[Allocation]) -> None:
    """Say that these allocations' turn has come, and wake their nodes' executors."""
    for allocation in allocations:
        allocation.attempt += 1
        allocation.start_wanted = True
        allocation.execution_id = execution_id(allocation)
        asked = Allocation.objects.filter(pk=allocation.pk, start_wanted=False).update(
            start_wanted=True, attempt=allocation.attempt, execution_id=allocation.execution_id
        )
        if asked:
            attempt_open(allocation, "")
        wake(START, allocation.pk, queue=f"executor.{allocation.node_id}")
    announce(deployment)


def claim(allocation_id: str, *, now: datetime, lease_s: float) -> Allocation | None:
    """Take the work on an allocation for `lease_s` seconds; None when somebody else has it or nothing is to do."""
    row = Allocation.objects.filter(pk=allocation_id)
    free = row.exclude(status__in=states.ALLOCATION_TERMINAL).filter(
        Q(lease_until=None) | Q(lease_until__lt=now)
    )
    lease = now + timedelta(seconds=lease_s)
    # Most are no part of a restart: they need not look at the others of their group.
    taken = free.filter(due_alone(now)).update(lease_until=lease)
    if not taken and row.exclude(restart_why="").exists():
        taken = free.filter(due(now)).update(lease_until=lease)
    return with_all(row).get() if taken else None


def with_all(rows: QuerySet[Allocation]) -> QuerySet[Allocation]:
    """Return these with their deployment, owner and node, but for the long documents, which few steps read."""
    left_out = tuple(name for name in NODE_DOCUMENTS if name != "allowances")
    joined = rows.select_related("deployment", "owner", "node__identity")
    return joined.defer(*under("deployment", DOCUMENTS), *under("node", left_out))


def claim_end(allocation: Allocation, *, now: datetime, lease_s: float) -> bool:
    """Take the noting of an end; False when somebody else is at it or has done it."""
    taken = (
        Allocation.objects.filter(pk=allocation.pk, attempt=allocation.attempt)
        .exclude(status__in=states.ALLOCATION_TERMINAL)
        .filter(Q(lease_until=None) | Q(lease_until__lt=now))
        .update(lease_until=now + timedelta(seconds=lease_s))
    )
    return bool(taken)


def let_go(allocation: Allocation, *, progress: str = "") -> None:
    """Give the claim back, so that the next sweep takes the work up."""
    Allocation.objects.filter(pk=allocation.pk).update(lease_until=None, progress=progress[:120])
    announce(allocation.deployment, [allocation.node_id])


def renew(allocation: Allocation, *, lease_s: float, progress: str = "") -> bool:
    """Keep the claim, note the progress, and say whether the allocation is still wanted."""
    now = timezone.now()
    fields: dict[str, object] = {"lease_until": now + timedelta(seconds=lease_s)}
    if progress:
        fields["progress"] = progress[:120]
    Allocation.objects.filter(pk=allocation.pk, status=Status.PENDING).update(**fields)
    announce(allocation.deployment, [allocation.node_id])
    return not Allocation.objects.filter(pk=allocation.pk, stop_wanted=True).exists()


def _lock(allocation: Allocation) -> None:
    """Take the deployment's row before the allocation's, as advancing it does: the other order would deadlock.

    It also lets the manifest be written from rows that nobody else is changing.
    """
    row = Deployment.objects.select_for_update(no_key=True).filter(pk=allocation.deployment_id)
    row.values_list("pk", flat=True).first()


def allocation_started(allocation: Allocation, *, priv_addr: str, started_at: datetime | None) -> bool:
    """Note that the execution runs; False when the allocation has ended or moved on meanwhile."""
    with transaction.atomic():
        _lock(allocation)
        changed = Allocation.objects.filter(
            pk=allocation.pk, status=Status.PENDING, attempt=allocation.attempt
        ).update(
            status=Status.RUNNING,
            priv_addr=priv_addr,
            started_at=started_at or timezone.now(),
            lease_until=None,
            progress="",
            reason="",
            detail="",
            restart_why="",
            restart_at=None,
            **first_health(allocation.spec),
        )
        if not changed:
            return False
        allocate(allocation.pk)
        attempt_started(allocation, started_at or timezone.now())
        record(
            allocation.deployment,
            "allocation",
            f"{allocation} started" + (f" (attempt {allocation.attempt})" if allocation.attempt > 1 else ""),
            allocation=allocation,
            status=Status.RUNNING,
        )
        manifest_refresh(allocation.deployment)
        if allocation.restart_why:
            group_goes_on(allocation.deployment_id)
        announce(allocation.deployment, [allocation.node_id])
    return True


def allocation_ended(allocation: Allocation, ending: Ending) -> bool:
    """Note that the attempt is over, with its cause, and free what it held. False when that is known already."""
    status, cause, text = _verdict(allocation, ending)
    now = timezone.now()
    with transaction.atomic():
        _lock(allocation)
        changed = (
            Allocation.objects.filter(pk=allocation.pk, attempt=allocation.attempt)
            .exclude(status__in=states.ALLOCATION_TERMINAL)
            .update(
                status=status,
                reason=cause,
                detail=ending.detail,
                exit_code=ending.exit_code,
                ended_at=now,
                lease_until=None,
                progress="",
            )
        )
        if not changed:
            return False
        attempt_ended(allocation, cause=cause, detail=ending.detail, exit_code=ending.exit_code, at=now)
        failed = status == Status.FAILED
        again = status != Status.COMPLETED and recovers(
            allocation, cause=cause, failed=failed, detail=ending.detail, now=now
        )
        if not again:
            release([allocation.pk])
            if allocation.awaited_to_end:
                group_goes_on(allocation.deployment_id)
        record(
            allocation.deployment,
            "allocation",
            text,
            allocation=allocation,
            status=status,
            cause=cause,
            exit_code=ending.exit_code,
        )
        announce(allocation.deployment, [allocation.node_id])
    return True


def _verdict(allocation: Allocation, ending: Ending) -> tuple[str, str, str]:
    """Return status, cause and sentence. A service that exits by itself has failed, whatever its code."""
    if ending.cause == "completed" and allocation.type == "task" and allocation.restart_why:
        return Status.COMPLETED, "completed", f"{allocation} completed before its group was started again"
    if allocation.stop_wanted and ending.cause in STOPPED:
        return Status.TERMINATED, "stopped", f"{allocation} stopped"
    if ending.cause == "completed" and allocation.type == "task":
        return Status.COMPLETED, "completed", f"{allocation} completed"
    if ending.cause == "completed":
        return Status.FAILED, "exited", f"{allocation} exited by itself, though it is a service"
    sentence = f": {ending.detail}" if ending.detail else ""
    return Status.FAILED, ending.cause[:40], f"{allocation} failed: {ending.cause}{sentence}"


def allocations_stop(allocations: Iterable[Allocation]) -> None:
    """Ask for these allocations to be stopped, and wake their nodes' executors: once, the sweep sees to the rest."""
    for allocation in allocations:
        if Allocation.objects.filter(pk=allocation.pk, stop_wanted=False).update(stop_wanted=True):
            wake(STOP, allocation.pk, queue=f"executor.{allocation.node_id}")


def terminate_pending(deployment: Deployment) -> None:
    """End the allocations that no worker has begun to start: there is nothing to stop outside."""
    pending = deployment.allocations.filter(status=Status.PENDING, start_wanted=False)
    for allocation in pending:
        allocation.stop_wanted = True
        allocation_ended(allocation, Ending("stopped", "never started"))
    deployment.allocations.filter(status=Status.STANDBY).update(status=Status.TERMINATED)


def unfinished_on(node_id: UUID) -> list[tuple[str, bool]]:
    """Return the allocations of a node that wait for a worker, and whether it is for being stopped."""
    return list(
        Allocation.objects.filter(node_id=node_id)
        .filter(due(timezone.now()))
        .exclude(status__in=states.ALLOCATION_TERMINAL)
        .filter(Q(lease_until=None) | Q(lease_until__lt=timezone.now()))
        .order_by("created_at")
        .values_list("pk", "stop_wanted")
    )


def drop_leases(node_id: UUID) -> None:
    """Forget the claims of a worker that is gone; called when the node's worker starts."""
    Allocation.objects.filter(node_id=node_id).exclude(lease_until=None).update(lease_until=None)

"""Attempts as rows, and what follows a failure: called in the transaction that notes it, the deployment locked."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from deployments import recovery, states
from deployments.ensemble.model import Ensemble
from deployments.health import STARTING
from deployments.models import Allocation, AllocationAttempt, Deployment
from deployments.services.timeline import record
from node.wake import wake

START = "workers.tasks.execute.start"
STOP = "workers.tasks.execute.stop"
WAKE_AFTER_S = 0.05
Status = Allocation.Status
GOING_ON = (states.PROVISIONING, states.RUNNING)


def execution_id(allocation: Allocation) -> str:
    """Return the executor's name of the allocation's present attempt."""
    digest = hashlib.sha256(allocation.pk.encode()).hexdigest()[:20]
    return f"{digest}-{allocation.attempt}"


def attempt_open(allocation: Allocation, why: str, scope: int | None = None) -> None:
    """Write down the attempt that has just been asked for."""
    AllocationAttempt.objects.get_or_create(
        allocation_id=allocation.pk,
        number=allocation.attempt,
        defaults={"execution_id": allocation.execution_id, "why": why[:120], "scope": scope},
    )


def attempt_started(allocation: Allocation, at: datetime) -> None:
    """Note when the attempt began to run."""
    _open(allocation).update(started_at=at)


def attempt_ended(
    allocation: Allocation, *, cause: str, detail: str, exit_code: int | None, at: datetime
) -> None:
    """Close the attempt."""
    _open(allocation).update(ended_at=at, cause=cause, detail=detail, exit_code=exit_code)


def _open(allocation: Allocation) -> QuerySet[AllocationAttempt]:
    return AllocationAttempt.objects.filter(
        allocation_id=allocation.pk, number=allocation.attempt, ended_at=None
    )


def due(now: datetime) -> Q:
    """Return what a worker may take up: starts whose pause is over, and stops, in the order of a group's restart.

    A group is stopped from its last level to its first, and nothing of it starts before all of it has stopped; then
    each level waits for the one before, as at first: until that is healthy where it has a check, or has completed
    where that is awaited.
    """
    others = Allocation.objects.filter(deployment_id=OuterRef("deployment_id"))
    group = others.exclude(restart_why="")
    stopping = group.filter(stop_wanted=True).exclude(status__in=states.ALLOCATION_TERMINAL)
    unready = Q(health=STARTING) | Q(awaited_to_end=True)
    awaited = (~Q(restart_why="") & Q(status=Status.PENDING)) | (Q(status=Status.RUNNING) & unready)
    lower = others.filter(awaited, level__lt=OuterRef("level"))
    start = _start_is_due(now) & Q(~Exists(stopping)) & Q(~Exists(lower))
    stop = Q(stop_wanted=True) & Q(~Exists(stopping.filter(level__gt=OuterRef("level"))))
    return due_alone(now) | start | stop


def due_alone(now: datetime) -> Q:
    """Return the same for those that are no part of a group's restart."""
    return Q(restart_why="") & (_start_is_due(now) | Q(stop_wanted=True))


def _start_is_due(now: datetime) -> Q:
    return Q(start_wanted=True, status=Status.PENDING) & (Q(restart_at=None) | Q(restart_at__lte=now))


def recovers(allocation: Allocation, *, cause: str, failed: bool, detail: str, now: datetime) -> bool:
    """Ask for another attempt if the ensemble wants one; False when the end is the end."""
    deployment = Deployment.objects.get(pk=allocation.deployment_id)
    row = Allocation.objects.get(pk=allocation.pk)
    if deployment.stop_wanted or deployment.status not in GOING_ON:
        return False
    if row.stop_wanted and row.restart_why:
        _again(row, row.restart_why, now, pause_s=0.0, scope=None)
        group_goes_on(row.deployment_id)
        return True
    if not failed or row.stop_wanted:
        return False
    ensemble = Ensemble.from_document(deployment.ensemble)
    rows = {item.name: item for item in deployment.allocations.defer("spec")}
    listed = list(ensemble.allocations)
    order = sorted(rows, key=lambda name: (rows[name].level, listed.index(name)))
    past = [
        recovery.Restart(at, scope)
        for at, scope in AllocationAttempt.objects.filter(allocation=row, scope__isnull=False).values_list(
            "asked_at", "scope"
        )
        if scope is not None
    ]
    decision = recovery.decide(ensemble, row.name, cause, order=order, past=past, now=now)
    if not decision.names:
        if decision.spent:
            _spent(deployment, row, ensemble, cause)
        return False
    why = f"{cause}: {detail}".rstrip(": ")
    _again(row, why, now, pause_s=decision.pause_s, scope=decision.scope)
    record(
        deployment,
        "recovery",
        f"{row} is restarted in {decision.pause_s:g} s: {why}",
        allocation=row,
        cause=cause,
    )
    for name in reversed(decision.names):
        other = rows[name]
        if name != row.name and other.status == Status.RUNNING and not other.stop_wanted:
            Allocation.objects.filter(pk=other.pk).update(
                stop_wanted=True, restart_why=f"with {row}: {cause}"[:120]
            )
            record(deployment, "recovery", f"{other} is restarted with {row}: {cause}", allocation=other)
            wake(STOP, other.pk, queue=f"executor.{other.node_id}")
    return True


def _again(row: Allocation, why: str, now: datetime, *, pause_s: float, scope: int | None) -> None:
    """Let the row wait for its next attempt; its line of the ledger and its ports stay."""
    row.attempt += 1
    row.execution_id = execution_id(row)
    Allocation.objects.filter(pk=row.pk).update(
        status=Status.PENDING,
        attempt=row.attempt,
        execution_id=row.execution_id,
        start_wanted=True,
        stop_wanted=False,
        restart_why=why[:120],
        restart_at=now + timedelta(seconds=pause_s),
        lease_until=None,
        ended_at=None,
        exit_code=None,
        health="",
        health_failures=0,
        progress=f"restarting: {why}"[:120],
    )
    attempt_open(row, why, scope)
    # A little later than the pause: clocks are read twice. The sweep finds what this message loses.
    wake(START, row.pk, queue=f"executor.{row.node_id}", after_s=pause_s + WAKE_AFTER_S)


def group_goes_on(deployment_id: str) -> None:
    """Wake what waits for another of its group to stop, to start or to be healthy; `due` says who may go on."""
    waiting = Allocation.objects.filter(deployment_id=deployment_id).exclude(restart_why="")
    stops = waiting.filter(stop_wanted=True, status=Status.RUNNING)
    starts = waiting.filter(start_wanted=True, stop_wanted=False, status=Status.PENDING)
    for task, rows in ((STOP, stops), (START, starts)):
        for key, node_id in rows.order_by("level", "pk").values_list("pk", "node_id"):
            wake(task, key, queue=f"executor.{node_id}")


def _spent(deployment: Deployment, row: Allocation, ensemble: Ensemble, cause: str) -> None:
    text = f"{row} failed too often, at last: {cause}"
    record(deployment, "recovery", text, allocation=row, cause=cause)
    if ensemble.escalation_strategy == "teardown":
        Deployment.objects.filter(pk=deployment.pk).update(stop_wanted=True, fail_wanted=True, reason=text)

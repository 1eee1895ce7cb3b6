"""Run allocations on this node: start, stop, collect what ended. The tasks and the watcher call these.

Everything here is safe to repeat: the claim is one conditional UPDATE with a lease, executions are named by
allocation and attempt (starting one that exists adopts it), and endings are conditional updates.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseFault
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments import states
from deployments.ensemble.document import allocation_of, ensemble_of
from deployments.models import Allocation
from deployments.services.advance import deployment_advance
from deployments.services.allocations import (
    Ending,
    allocation_ended,
    allocation_started,
    claim,
    claim_end,
    let_go,
    renew,
    with_all,
)
from node.logger.context import about, bind
from node.resources import Resources
from workers.executors.base import (
    Cause,
    Execution,
    ExecutionRequest,
    Executor,
    ExecutorError,
    PortBinding,
    State,
)
from workers.executors.registry import executors
from workers.health.runner import ALARM
from workers.logs import keep_logs
from workers.volumes import mounts

logger = logging.getLogger(__name__)
PROGRESS_EVERY_S = 0.5


def executor_of(allocation: Allocation) -> Executor:
    """Return the executor that runs the allocation; ExecutorError when this node has none of that name."""
    found = executors(allocation.node.identity.did).get(allocation.executor)
    if found is None:
        raise ExecutorError(
            Cause.START_FAILED, f"executor {allocation.executor} is not available on this node"
        )
    return found


def work_dir(allocation: Allocation) -> Path:
    """Return where the allocation's present attempt may keep files; who needs the folder makes and removes it."""
    path: Path = settings.DMS_HOME.path("work", "allocations", allocation.execution_id)
    return path


def request_of(allocation: Allocation) -> ExecutionRequest:
    """Return everything the executor must know, from the allocation's row."""
    spec = allocation_of(allocation.name, allocation.spec)
    granted = Resources.parse(allocation.spec["granted"])
    scripts = ensemble_of(allocation.deployment.ensemble).scripts if spec.provision else {}
    last = 0.0

    def progress(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_S:
            last = now
            renew(allocation, lease_s=NUMBERS.step_lease_s, progress=text)

    def cancelled() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last >= NUMBERS.step_lease_s / 3:
            # Asking is a sign of life, too: a provision script may say nothing for minutes.
            last = now
            renew(allocation, lease_s=NUMBERS.step_lease_s)
        return Allocation.objects.filter(pk=allocation.pk, stop_wanted=True).exists()

    return ExecutionRequest(
        execution_id=allocation.execution_id,
        allocation_id=allocation.pk,
        deployment_id=allocation.deployment_id,
        attempt=allocation.attempt,
        node_did=allocation.node.identity.did,
        owner_did=allocation.owner.did,
        type=allocation.type,
        params=spec.execution.params,
        cpu_centicores=granted.cpu_centicores,
        ram_bytes=granted.ram_bytes,
        disk_bytes=granted.disk_bytes,
        gpus=tuple(gpu.document() for gpu in granted.gpus),
        ports=tuple(
            PortBinding(port["public"], port["private"], port["protocol"]) for port in allocation.ports
        ),
        mounts=mounts(
            allocation.spec.get("volume", ()),
            home=settings.DMS_HOME.root,
            owner_did=allocation.owner.did,
            allowances=frozenset(allocation.node.allowances),
        ),
        dns_name=allocation.dns_name,
        scripts=tuple((name, scripts[name]) for name in spec.provision),
        work_dir=work_dir(allocation),
        allowances=frozenset(allocation.node.allowances),
        progress=progress,
        cancelled=cancelled,
    )


@about("allocation")
def allocation_start(allocation_id: str) -> None:
    """Start the allocation if it waits for that and nobody else is at it."""
    allocation = claim(allocation_id, now=timezone.now(), lease_s=NUMBERS.step_lease_s)
    if allocation is None:
        return
    if allocation.stop_wanted:
        _stop_claimed(allocation)
        return
    try:
        execution = executor_of(allocation).start(request_of(allocation))
    except ExecutorError as error:
        _failed_to_start(allocation, error)
        return
    except DatabaseFault:
        raise  # it says nothing about the allocation: the lease lapses, and the sweep tries again
    except Exception as error:
        # Trying again would fail again, until the deadline hides the reason.
        logger.exception("starting %s", allocation.pk)
        text = f"the node could not prepare it: {type(error).__name__}: {error}"
        _failed_to_start(allocation, ExecutorError(Cause.START_FAILED, text))
        return
    try:
        started = allocation_started(
            allocation, priv_addr=execution.priv_addr, started_at=execution.started_at or timezone.now()
        )
    except Refusal as refusal:
        # The promise has lapsed: what was started without resources must not go on.
        with suppress(ExecutorError):  # its removal kills it, too
            executor_of(allocation).kill(allocation.execution_id, Cause.KILLED, refusal.detail)
        _finish(allocation, Ending(Cause.START_FAILED, refusal.detail))
        return
    if started:
        ALARM.rows()  # its first check need not wait for the rows to be read again
        deployment_advance(allocation.deployment_id)
    # The end of a short task, or a stop, may have come before the row said running.
    collect(allocation.execution_id)
    if Allocation.objects.filter(pk=allocation.pk, stop_wanted=True).exists():
        allocation_stop(allocation.pk)


def _failed_to_start(allocation: Allocation, error: ExecutorError) -> None:
    allocation.refresh_from_db(fields=["stop_wanted"])
    logger.info("allocation %s did not start: %s: %s", allocation.pk, error.cause, error.detail)
    if error.cause == Cause.ENGINE_UNREACHABLE and error.transient and not allocation.stop_wanted:
        # The engine may come back before the deadline does: the sweep tries again.
        let_go(allocation, progress=f"waiting: {error.detail}")
        return
    cause = Cause.STOPPED if allocation.stop_wanted else error.cause
    _finish(allocation, Ending(cause, error.detail))


@about("allocation")
def allocation_stop(allocation_id: str) -> None:
    """Stop the allocation if that is wanted and nobody else is at it."""
    allocation = claim(
        allocation_id, now=timezone.now(), lease_s=NUMBERS.step_lease_s + NUMBERS.allocation_stop_grace_s
    )
    if allocation is not None and allocation.stop_wanted:
        _stop_claimed(allocation)


def _stop_claimed(allocation: Allocation) -> None:
    try:
        executor = executor_of(allocation)
        execution = executor.stop(allocation.execution_id, NUMBERS.allocation_stop_grace_s)
    except ExecutorError as error:
        # What never was seen running does not wait for its engine: a left-over is removed when that is back.
        never_ran = allocation.status == Allocation.Status.PENDING and error.cause == Cause.ENGINE_UNREACHABLE
        if error.transient and not never_ran:
            logger.warning("stopping %s: %s; the sweep tries again", allocation.pk, error.detail)
            let_go(allocation, progress=f"waiting: {error.detail}")
            return
        execution = Execution(allocation.execution_id, allocation.pk, allocation.deployment_id, State.GONE)
    _finish(allocation, Ending(Cause.STOPPED, execution.detail, execution.exit_code))


def collect(execution_id: str) -> None:
    """If the execution has ended, note how, keep its log and remove it. Called on every event and sweep."""
    allocation = with_all(Allocation.objects.filter(execution_id=execution_id)).first()
    if allocation is None or allocation.status != Allocation.Status.RUNNING:
        return
    with bind(allocation=allocation.pk, deployment=allocation.deployment_id):
        _collect(allocation)


def _collect(allocation: Allocation) -> None:
    execution_id = allocation.execution_id
    try:
        execution = executor_of(allocation).inspect(execution_id)
    except ExecutorError as error:
        logger.warning("looking at %s: %s", execution_id, error.detail)
        return
    if execution.state == State.EXITED:
        ending = Ending(execution.cause or Cause.EXIT_CODE, execution.detail, execution.exit_code)
    elif execution.state == State.GONE:
        ending = Ending(Cause.GONE, "its execution is gone; somebody else removed it")
    else:
        return
    # An event, a sweep and the start itself may all see the same end: one of them keeps the log.
    if claim_end(allocation, now=timezone.now(), lease_s=NUMBERS.step_lease_s):
        _finish(allocation, ending)


def _finish(allocation: Allocation, ending: Ending) -> None:
    """Keep the log, note the end, remove the execution, and let the deployment go on.

    The removal comes before the deployment's own end: what is Completed has left nothing on the machine.
    """
    keep_logs(allocation)
    ended = allocation_ended(allocation, ending)
    try:
        executor_of(allocation).remove(allocation.execution_id)
    except ExecutorError as error:
        logger.warning("removing %s: %s; the sweep tries again", allocation.execution_id, error.detail)
    if ended and deployment_advance(allocation.deployment_id) in states.TERMINAL:
        # Somebody else may have ended the deployment while this execution still held its network.
        with suppress(ExecutorError):
            executor_of(allocation).remove_deployment(allocation.deployment_id)


def enforce_disk(allocation: Allocation) -> None:
    """Kill an allocation that has written more than it was granted, with the reason `disk_limit`."""
    granted = Resources.parse(allocation.spec["granted"]).disk_bytes
    try:
        executor = executor_of(allocation)
        used = executor.disk_used_bytes(allocation.execution_id)
        if used > granted:
            detail = f"wrote {used} bytes, {granted} were granted"
            executor.kill(allocation.execution_id, Cause.DISK_LIMIT, detail)
            collect(allocation.execution_id)
    except ExecutorError as error:
        logger.warning("measuring %s: %s", allocation.execution_id, error.detail)

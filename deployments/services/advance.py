"""Advance a deployment: one arrow of the state machine a transaction, until nothing more can be done now.

Any number of workers may call it at any time: each step locks the deployment's row, decides from rows alone and
writes rows; what must happen outside (start or stop an execution) is a wake-up after commit. Calling it again
is harmless, so a lost message costs no more than the wait for the next sweep.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.paging import under
from capabilities.refusal import Refusal
from deployments import states
from deployments.ensemble.model import Ensemble
from deployments.explain import Line, line, not_placed, too_late
from deployments.failures import LIMITS, failure_line
from deployments.health import ready
from deployments.models import DOCUMENTS, Allocation, BidRequest, Deployment
from deployments.services import bidding, queue
from deployments.services.allocations import allocations_stop, ask_start, terminate_pending
from deployments.services.commit import commit_placement
from deployments.services.late import waited_for
from deployments.services.manifest import manifest_refresh
from deployments.services.quota import demand_in, enforce
from deployments.services.timeline import move, record
from node.logger.context import about
from node.models import DOCUMENTS as NODE_DOCUMENTS
from node.models import Node
from node.outside import OUTSIDE
from node.services.ledger import release
from node.wake import wake
from node.words import count

STEPS_MAX = 32
Status = Allocation.Status
CLEAN_UP = "workers.tasks.execute.clean_up"


def under_way(node: Node) -> list[str]:
    """Return the node's deployments that may be able to go on: not those that just run, however many."""
    alive = Allocation.objects.filter(deployment=OuterRef("pk")).exclude(
        status__in=states.ALLOCATION_TERMINAL
    )
    unfinished = Deployment.objects.filter(orchestrator=node, status__in=states.UNFINISHED)
    waiting = unfinished.exclude(Q(status=states.RUNNING, stop_wanted=False) & Exists(alive))
    # Who waits in the queue is looked at when it is her turn, not one by one.
    queued = Q(status=states.PREPARING, stop_wanted=False, queued_at__isnull=False)
    waiting = waiting.exclude(queued & Q(queue_until__gt=timezone.now()))
    return list(waiting.order_by("created_at").values_list("pk", flat=True))


@about("deployment")
def deployment_advance(deployment_id: str) -> str:
    """Take every step that is possible now and return the status that was reached ("" when there is no such row)."""
    usage: Mapping[str, Any] | None = None
    status = ""
    for _ in range(STEPS_MAX):
        peek = Deployment.objects.filter(pk=deployment_id).values_list("status", flat=True).first()
        if peek in {states.PREPARING, states.COMMITTING} and usage is None and OUTSIDE.probe is not None:
            usage = OUTSIDE.probe.usage()
        with transaction.atomic():
            deployment = (
                Deployment.objects.select_for_update(of=("self",), no_key=True)
                .select_related("owner", "orchestrator__identity")
                # Most steps read none of them, and it is called at the start of every allocation.
                .defer(*DOCUMENTS, *under("orchestrator", NODE_DOCUMENTS))
                .filter(pk=deployment_id)
                .first()
            )
            if deployment is None:
                return ""
            moved = _step(deployment, usage)
            status = deployment.status
        if not moved:
            break
    return status


def _step(deployment: Deployment, usage: Mapping[str, Any] | None) -> bool:
    """Follow one arrow; False when the deployment waits for something."""
    if deployment.status in states.TERMINAL:
        return False
    if deployment.status == states.SHUTTING_DOWN:
        return _shutting_down(deployment)
    if deployment.stop_wanted:
        queue.leave(deployment)
        move(deployment, states.SHUTTING_DOWN, "shutting down")
        return True
    if deployment.queued_at is None and _is_late(deployment):
        return True
    if deployment.status == states.PREPARING:
        return _prepare(deployment, usage)
    if deployment.status == states.COMMITTING:
        return _commit(deployment, usage)
    if deployment.status == states.PROVISIONING:
        return _provision(deployment)
    if deployment.status == states.RUNNING:
        return _run(deployment)
    return False


def _is_late(deployment: Deployment) -> bool:
    """Give up what has passed its deadline, naming what was waited for."""
    if deployment.status not in states.BEFORE_RUNNING or timezone.now() <= deployment.deadline_at:
        return False
    waited = waited_for(deployment)
    _give_up(deployment, too_late(deployment.status, waited), waited)
    return True


def _prepare(deployment: Deployment, usage: Mapping[str, Any] | None) -> bool:
    ensemble = Ensemble.from_document(deployment.ensemble)
    node = deployment.orchestrator
    ahead = queue.ahead_of(node, deployment)
    if deployment.queued_at is not None:
        # Looked at before anything is written: a turn that was no turn leaves no round behind.
        found = bidding.offers(node, ensemble, usage, owner=deployment.owner, ahead=ahead)
        if any(found.values()):
            return _not_now(
                deployment, ensemble, tuple(found), [one for many in found.values() for one in many]
            )
    deployment.attempt += 1
    Deployment.objects.filter(pk=deployment.pk).update(attempt=deployment.attempt)
    placement = bidding.ask(deployment, ensemble, usage, ahead)
    if placement.complete:
        queue.leave(deployment)
        names = Node.objects.in_bulk(set(placement.providers.values()), field_name="id")
        where = ", ".join(sorted(node.name for node in names.values()))
        record(deployment, "bid", f"{where} bids for {count(len(ensemble.nodes), 'node')}")
        move(deployment, states.COMMITTING, f"committing on {where}")
        return True
    reasons = [
        reason
        for bid in BidRequest.objects.filter(deployment=deployment, round=deployment.attempt)
        .order_by("bids__pk")
        .values_list("bids__reasons", flat=True)
        for reason in bid or []
    ]
    return _not_now(deployment, ensemble, placement.missing, reasons)


def _not_now(
    deployment: Deployment, ensemble: Ensemble, missing: tuple[str, ...], reasons: list[Line]
) -> bool:
    """Let it wait in the queue when it asks for that and waiting can help, else give it up."""
    now = timezone.now()
    late = deployment.queue_until is not None and now > deployment.queue_until
    if not late and {reason["check"] for reason in reasons} == {"executor"}:
        wanted = {allocation.executor for allocation in ensemble.allocations.values()}
        if queue.back_soon(deployment.orchestrator, wanted, now):
            queue.enter(deployment, reasons, most_s=NUMBERS.executor_outage_s)
            return False
    if not deployment.queue_wanted or late or not queue.can_wait(deployment, ensemble):
        text = not_placed(missing, reasons)
        _give_up(deployment, f"not placed within its time in the queue: {text}" if late else text, reasons)
        return True
    queue.enter(deployment, reasons)
    return False


def _commit(deployment: Deployment, usage: Mapping[str, Any] | None) -> bool:
    ensemble = Ensemble.from_document(deployment.ensemble)
    try:
        with transaction.atomic():
            enforce(deployment.owner, demand_in(deployment), without=deployment.pk)
            commit_placement(deployment, ensemble, usage)
    except Refusal as refusal:
        reasons = [line(reason, peer=deployment.orchestrator.name) for reason in refusal.reasons]
        again = deployment.attempt < NUMBERS.deployment_attempts_max or deployment.queue_wanted
        if again and refusal.code != "quota_exceeded":
            move(deployment, states.PREPARING, f"commit refused, asking again: {refusal.detail}")
        else:
            _give_up(deployment, f"commit refused: {refusal.detail}", reasons)
        return True
    record(deployment, "commit", f"committed {count(len(ensemble.allocations), 'allocation')}")
    manifest_refresh(deployment)
    move(deployment, states.PROVISIONING, "provisioning")
    return True


def _provision(deployment: Deployment) -> bool:
    # Every start of an allocation comes here: of many rows only what is decided by.
    fields = ("level", "start_wanted", "status", "health", "awaited_to_end")
    found = list(deployment.allocations.order_by("level").values_list(*fields))
    rows = deployment.allocations.defer("spec")
    if any(status == Status.FAILED for _, _, status, _, _ in found):
        failed = list(rows.filter(status=Status.FAILED))
        _give_up(deployment, failure_text(failed[0]), [failure(item) for item in failed])
        return True
    if any(awaited and status == Status.TERMINATED for _, _, status, _, awaited in found):
        cut = list(rows.filter(awaited_to_end=True, status=Status.TERMINATED))
        what = f"{cut[0]} was stopped, and others wait until it has completed"
        _give_up(deployment, what, [failure(item) for item in cut])
        return True
    for level, members in groupby(found, key=itemgetter(0)):
        standing = list(members)
        if not all(wanted for _, wanted, _, _, _ in standing):
            ask_start(deployment, rows.filter(level=level, start_wanted=False))
            return False
        if not all(ready(status, health, awaited) for _, _, status, health, awaited in standing):
            return False
    move(deployment, states.RUNNING, f"{count(len(found), 'allocation')} started", reason="")
    return True


def _run(deployment: Deployment) -> bool:
    if deployment.allocations.exclude(status__in=states.ALLOCATION_TERMINAL).exists():
        return False
    allocations = list(deployment.allocations.defer("spec"))
    failed = [item for item in allocations if item.status == Allocation.Status.FAILED]
    if failed:
        reasons = [failure(item) for item in failed]
        move(
            deployment,
            states.FAILED,
            failure_text(failed[0]),
            reason=failure_text(failed[0]),
            reasons=reasons,
        )
    else:
        move(deployment, states.COMPLETED, "every allocation has ended well")
    _finish(deployment)
    return True


def _shutting_down(deployment: Deployment) -> bool:
    terminate_pending(deployment)
    left = deployment.allocations.exclude(status__in=states.ALLOCATION_TERMINAL)
    if left.exists():
        allocations_stop(left.filter(stop_wanted=False).defer("spec"))
        return False
    if deployment.fail_wanted:
        move(deployment, states.FAILED, deployment.reason or "failed")
    else:
        move(deployment, states.COMPLETED, "everything is stopped")
    _finish(deployment)
    return True


def _give_up(deployment: Deployment, reason: str, reasons: list[dict[str, str]]) -> None:
    """End as Failed: at once when nothing was started, else after everything has been stopped."""
    if not deployment.allocations.exclude(status__in=states.ALLOCATION_TERMINAL).exists():
        move(deployment, states.FAILED, reason, reason=reason, reasons=reasons)
        _finish(deployment)
        return
    Deployment.objects.filter(pk=deployment.pk).update(stop_wanted=True, fail_wanted=True)
    deployment.stop_wanted = deployment.fail_wanted = True
    move(deployment, states.SHUTTING_DOWN, f"stopping: {reason}", reason=reason, reasons=reasons)


def _finish(deployment: Deployment) -> None:
    """Free what is still held and remove what the allocations shared."""
    ids = list(deployment.allocations.values_list("pk", flat=True))
    release(ids)
    manifest_refresh(deployment)
    for node in set(deployment.allocations.values_list("node_id", flat=True)):
        wake(CLEAN_UP, deployment.pk, queue=f"executor.{node}")


def failure(allocation: Allocation) -> Line:
    """Return the failure of an allocation as a reason."""
    return failure_line(
        subject=str(allocation),
        peer=allocation.node.name,
        deployment=allocation.deployment_id,
        cause=allocation.reason,
        detail=allocation.detail,
        exit_code=allocation.exit_code,
        spec=allocation.spec if allocation.reason in LIMITS else None,
    )


def failure_text(allocation: Allocation) -> str:
    """Return one sentence: which allocation failed, and why."""
    return f"{allocation}: {allocation.reason}: {allocation.detail}".rstrip(": ")

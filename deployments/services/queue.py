"""The queue as rows: who waits, behind whom, since when; entering and leaving it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal
from deployments import states
from deployments.ensemble.model import Ensemble
from deployments.explain import Line, line, shortage
from deployments.models import Deployment
from deployments.queueing import Demand, Room, impossible, kept_for, look
from deployments.services import bidding
from deployments.services.timeline import announce, record
from node.live import changed
from node.models import Node
from node.services.ledger import NOBODY_AHEAD, Ahead, room_of
from node.words import span


def waiting(node: Node) -> QuerySet[Deployment]:
    """Return those that wait for this node, the first first."""
    return waiting_for(node.pk)


def waiting_for(node_id: UUID) -> QuerySet[Deployment]:
    """Return those that wait for the node of this id, the first first."""
    rows = Deployment.objects.filter(orchestrator_id=node_id, status=states.PREPARING, stop_wanted=False)
    return rows.exclude(queued_at=None).order_by("created_at", "pk")


def ahead_of(node: Node, deployment: Deployment | None = None) -> Ahead:
    """Return what those need who come before: all who wait, or those before `deployment` if it waits too."""
    rows = waiting(node)
    if deployment is not None:
        rows = rows.exclude(pk=deployment.pk)
        if deployment.queue_wanted:
            same = Q(created_at=deployment.created_at, pk__lt=deployment.pk)
            rows = rows.filter(Q(created_at__lt=deployment.created_at) | same)
    demands = [Demand.parse(row) for row in rows.values_list("demand", flat=True)[: NUMBERS.queue_scan_max]]
    usable = executors_of(node)
    demands = [demand for demand in demands if demand.executors <= usable]
    if not demands:
        return NOBODY_AHEAD
    ports = frozenset[int]().union(*(demand.static for demand in demands))
    return Ahead(len(demands), kept_for(demands), ports)


def executors_of(node: Node) -> frozenset[str]:
    """Return the executors that can be used on the node now. For who wants another one nothing is kept meanwhile."""
    return frozenset(name for name, state in node.executors.items() if state.get("available"))


def back_soon(node: Node, executors: Iterable[str], now: datetime) -> bool:
    """Say whether those of `executors` that are away were there a moment ago: an engine that is being restarted."""
    for name in executors:
        state = node.executors.get(name) or {}
        if state.get("available"):
            continue
        lost_at = state.get("lost_at")
        if not lost_at or now - datetime.fromisoformat(lost_at) > timedelta(
            seconds=NUMBERS.executor_outage_s
        ):
            return False
    return True


def can_wait(deployment: Deployment, ensemble: Ensemble) -> bool:
    """Say whether waiting can help: it would be placed if nothing else ran on the node.

    Who waits already goes on waiting for an engine that has gone away: it may come back.
    """
    found = bidding.offers(deployment.orchestrator, ensemble, None, owner=deployment.owner, empty=True)
    checks = {reason["check"] for reasons in found.values() for reason in reasons}
    return not (checks - {"executor"} if deployment.queued_at is not None else checks)


def refuse_full(node: Node) -> None:
    """Refusal when so many wait that another one makes no sense."""
    if waiting(node).count() >= NUMBERS.queue_max:
        raise Refusal(
            "queue_full",
            f"{NUMBERS.queue_max} deployments wait in the queue of {node.name} already",
            status=429,
            hint="try again when it is shorter, or deploy without --queue",
        )


def enter(deployment: Deployment, reasons: list[Line], *, most_s: float | None = None) -> None:
    """Let it wait, with the reason, and note that once; its deadline stands still meanwhile.

    `most_s`: how long at most when it has not asked to wait itself.
    """
    reason = _waits_for(reasons)
    first = deployment.queued_at is None
    if not first and reason == deployment.reason:
        return
    queued_at = deployment.queued_at or timezone.now()
    if most_s is not None and deployment.queue_until is None:
        deployment.queue_until = queued_at + timedelta(seconds=most_s)
    Deployment.objects.filter(pk=deployment.pk).update(
        queued_at=queued_at, reason=reason, reasons=reasons, queue_until=deployment.queue_until
    )
    deployment.queued_at, deployment.reason, deployment.reasons = queued_at, reason, reasons
    if first:
        record(deployment, "queue", reason, status="queued")
    announce(deployment)


def _waits_for(reasons: list[Line]) -> str:
    return f"queued: {shortage(reasons)}"


def leave(deployment: Deployment) -> None:
    """Take it out of the queue; its deadline counts from now on."""
    if deployment.queued_at is None:
        return
    waited = timezone.now() - deployment.queued_at
    deployment.deadline_at += waited
    deployment.queued_at = None
    deployment.reason, deployment.reasons = "", []
    if not deployment.queue_wanted:
        deployment.queue_until = None
    Deployment.objects.filter(pk=deployment.pk).update(
        queued_at=None,
        reason="",
        reasons=[],
        deadline_at=deployment.deadline_at,
        queue_until=deployment.queue_until,
    )
    record(deployment, "queue", f"left the queue after {span(waited.total_seconds())}")
    behind = waiting(deployment.orchestrator).values_list("pk", flat=True)[: NUMBERS.queue_told_max]
    changed(*(f"deployment.{pk}" for pk in behind))  # they have another place now


def next_ones(node: Node, usage: Mapping[str, Any] | None) -> list[str]:
    """Return those whose turn it is now, and those that what is onboarded can never hold any more.

    A fixed number of queries, however many wait; each of them is then looked at as any other deployment is.
    """
    rows = list(waiting(node).values_list("pk", "demand")[: NUMBERS.queue_scan_max])
    room = room_of(node, usage) if rows else None
    if room is None:
        return []
    view, headroom, taken, ports = room
    queue = [(key, Demand.parse(demand)) for key, demand in rows]
    lost = [key for key, demand in queue if impossible(view, demand)]
    usable, gone = executors_of(node), set(lost)
    able = [(key, demand) for key, demand in queue if key not in gone and demand.executors <= usable]
    missing = look(Room(view, headroom, taken, ports), able)
    _tell(node, missing)
    return lost + [key for key, reasons in missing.items() if not reasons]


def _tell(node: Node, missing: Mapping[str, tuple[Reason, ...]]) -> None:
    """Keep the reasons of those who go on waiting fresh: what is free changes while they wait."""
    wait = {key: reasons for key, reasons in missing.items() if reasons}
    told = dict(waiting(node).values_list("pk", "reason")[: NUMBERS.queue_told_max])
    for key, reasons in wait.items():
        lines = [line(reason, subject=reason.path, peer=node.name) for reason in reasons]
        text = _waits_for(lines)
        if key in told and told[key] != text:
            waiting(node).filter(pk=key).update(reason=text, reasons=lines)
            changed(f"deployment.{key}")


def places(rows: Iterable[Deployment]) -> dict[str, tuple[int, int]]:
    """Return place and length of the queue for those of `rows` that wait, with one query a node."""
    queued = [row for row in rows if row.queued_at is not None and row.status == states.PREPARING]
    found: dict[str, tuple[int, int]] = {}
    for node_id in {row.orchestrator_id for row in queued}:
        keys = list(waiting_for(node_id).values_list("pk", flat=True))
        found |= {key: (place, len(keys)) for place, key in enumerate(keys, 1)}
    return {row.pk: found[row.pk] for row in queued if row.pk in found}

"""The ledger as rows: commit, allocate, release, expire.

Whoever changes what a node has promised first raises `Onboarding.generation` in the same transaction. That
one UPDATE is the lock: it takes the row on PostgreSQL and the write lock on SQLite, so that every decision
is made on lines nobody else is changing. Ports are held in that transaction, too: all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from capabilities.models import Identity
from capabilities.refusal import Reason, Refusal
from node import ledger as rules
from node.freed import freed
from node.hardware import Usage
from node.ledger import Granted, Headroom, LedgerItem, LedgerView
from node.live import changed
from node.models import Node, Onboarding, PortReservation, Reservation
from node.outside import OUTSIDE
from node.ports import ports_reason, static_reasons
from node.resources import Resources, Shortage
from node.selectors import amount_of, sustained_cpu_percent
from node.services.ports import PortAllocator, port_range

__all__ = [
    "Ahead", "Granted", "LedgerItem", "LedgerView", "NOBODY_AHEAD",
    "allocate", "check", "commit", "expire", "ledger", "lock", "release", "room_of",
]  # fmt: skip

State = Reservation.State


def ledger(node: Node, usage: Mapping[str, Any] | None = None) -> LedgerView:
    """Return the ledger of the node; everything is zero when it is not onboarded."""
    row = Onboarding.objects.filter(node=node).first()
    return _view(node, row, usage, timezone.now())


@dataclass(frozen=True, slots=True)
class Ahead:
    """What comes before: how many wait in the queue, what is kept for them in this order, and the ports they name."""

    count: int = 0
    kept: tuple[tuple[Resources, ...], ...] = ()
    ports: frozenset[int] = frozenset()


NOBODY_AHEAD: Final = Ahead()


def check(
    node: Node,
    resources: Resources | Sequence[Resources],
    *,
    static_ports: Sequence[int] = (),
    dynamic_ports: int = 0,
    usage: Mapping[str, Any] | None = None,
    ahead: Ahead = NOBODY_AHEAD,
    empty: bool = False,
) -> tuple[Reason, ...]:
    """Return every reason why a commit of this would be refused now; empty when it would pass.

    `resources`: one amount, or one for each allocation, which may then share GPUs. `ahead`: what is free is kept
    for these first. `empty`: as if nothing ran on the machine, to tell what can never fit. Changes nothing.
    """
    parts = [resources] if isinstance(resources, Resources) else list(resources)
    row = Onboarding.objects.filter(node=node).first()
    if row is None:
        refusal = rules.not_onboarded()
        return (
            Reason(
                "onboarding",
                refusal.detail,
                needed="a machine that offers something",
                available="nothing is onboarded",
                hint=refusal.hint,
            ),
        )
    items = [LedgerItem(f"part {number}", part) for number, part in enumerate(parts)]
    now = timezone.now()
    view = _view(node, row, usage, now)
    headroom = rules.UNKNOWN if empty else _headroom(node, view, _usage(usage), now)
    reasons = () if empty else draining_reasons(node)
    free, room = rules.emptied(view) if empty else view, headroom
    for kept in ahead.kept:
        free, room = rules.set_aside(free, room, [LedgerItem(str(n), part) for n, part in enumerate(kept)])
    gaps = rules.gaps(free, items, room)
    if gaps and ahead.count:
        plain = {reason.check: reason for reason in rules.gaps(view, items, headroom)}
        gaps = tuple(plain.get(gap.check) or _kept(gap, ahead.count) for gap in gaps)
    allocator = PortAllocator(node)
    held = {} if empty else allocator.held() | dict.fromkeys(ahead.ports, "queue")
    busy = OUTSIDE.probe.port_busy if OUTSIDE.probe and not empty else (lambda port: False)
    allowed = port_range()
    reasons += gaps
    reasons += static_reasons(static_ports, allocation_id="", held=held, busy=busy, allowed=allowed)
    if dynamic_ports:
        count = len(allowed.free({*held, *static_ports}))
        if count < dynamic_ports:
            reasons += (ports_reason(dynamic_ports, count, allowed),)
    return reasons


def room_of(
    node: Node, usage: Mapping[str, Any] | None = None
) -> tuple[LedgerView, Headroom, frozenset[int], int] | None:
    """Return what is free now: ledger, machine, ports held and the number of others; None when it takes nothing."""
    row = Onboarding.objects.filter(node=node).first()
    if row is None or draining_reasons(node):
        return None
    now = timezone.now()
    view = _view(node, row, usage, now)
    held = frozenset(PortAllocator(node).held())
    return view, _headroom(node, view, _usage(usage), now), held, len(port_range().free(held))


def _kept(gap: Reason, waiting: int) -> Reason:
    return replace(
        gap,
        message=f"{gap.message}; the rest is kept for {waiting} that wait in the queue",
        hint="wait in the queue behind them (--queue)",
    )


def draining_reasons(node: Node) -> tuple[Reason, ...]:
    """Return why a node that is being drained takes nothing new; empty when it is not."""
    state = Node.objects.filter(pk=node.pk).values_list("draining_at", "drain_reason").first()
    if state is None or state[0] is None:
        return ()
    since = state[0].strftime("%Y-%m-%d %H:%M UTC")
    return (
        Reason(
            "draining",
            f"the node takes no new work since {since}" + (f": {state[1]}" if state[1] else ""),
            needed="a node that takes work",
            available=f"{node.name} is being drained",
            hint="wait in the queue (--queue), or ask the node's owner to end it: ./dms drain --off",
        ),
    )


def commit(
    node: Node,
    *,
    deployment_id: str,
    owner: Identity,
    items: Sequence[LedgerItem],
    expires_at: datetime,
    usage: Mapping[str, Any] | None = None,
) -> dict[str, Granted]:
    """Promise all `items` until `expires_at`, or none and raise `Refusal` with every reason.

    Sent again with the same allocation ids it answers what was granted before and renews the promise.
    """
    duplicates = rules.duplicate_reasons(items)
    if duplicates:
        raise Refusal("bad_request", duplicates[0].message, reasons=duplicates)
    measured = _usage(usage)
    now = timezone.now()
    with transaction.atomic():
        row = lock(node)
        _drop_expired(Reservation.objects.filter(node=node), now)
        granted = _granted_before(node, deployment_id, items, expires_at)
        rest = [item for item in items if item.allocation_id not in granted]
        if rest:
            if draining := draining_reasons(node):
                raise Shortage(draining)
            view = _view(node, row, usage, now)
            granted |= _grant(
                node, rest, view, _headroom(node, view, measured, now), deployment_id, owner, expires_at
            )
        changed(f"node.{node.pk}")
    return granted


def _grant(
    node: Node,
    items: Sequence[LedgerItem],
    view: LedgerView,
    headroom: Headroom,
    deployment_id: str,
    owner: Identity,
    expires_at: datetime,
) -> dict[str, Granted]:
    reasons: list[Reason] = []
    shares: dict[str, Resources] = {}
    try:
        shares = rules.decide(view, items, headroom)
    except Shortage as shortage:
        reasons += shortage.reasons
    ports: dict[str, list[int]] = {item.allocation_id: [] for item in items}
    allocator = PortAllocator(node)
    # Static ports of all items first: a dynamic one must not take what another item names.
    for item in items:
        try:
            allocator.allocate_ports(item.allocation_id, item.static_ports)
            ports[item.allocation_id] += item.static_ports
        except Refusal as refusal:
            reasons += refusal.reasons or (Reason("ports", refusal.detail, path="ports"),)
    for item in items:
        if item.dynamic_ports and not reasons:
            try:
                ports[item.allocation_id] += allocator.allocate_random(item.allocation_id, item.dynamic_ports)
            except Refusal as refusal:
                reasons += refusal.reasons or (Reason("ports", refusal.detail, path="ports"),)
    if reasons:
        raise Shortage(tuple(reasons))  # rolls back every port held above
    Reservation.objects.bulk_create(
        Reservation(
            node=node,
            owner=owner,
            deployment_id=deployment_id,
            allocation_id=item.allocation_id,
            cpu_centicores=shares[item.allocation_id].cpu_centicores,
            ram_bytes=shares[item.allocation_id].ram_bytes,
            disk_bytes=shares[item.allocation_id].disk_bytes,
            gpus=[gpu.document() for gpu in shares[item.allocation_id].gpus],
            expires_at=expires_at,
        )
        for item in items
    )
    return {name: Granted(shares[name], ports[name]) for name in shares}


def allocate(allocation_id: str, *, now: datetime | None = None) -> None:
    """Turn the promise into use: it no longer expires. Harmless when it is in use already."""
    now = now or timezone.now()
    line = Reservation.objects.filter(allocation_id=allocation_id)
    if line.filter(state=State.COMMITTED, expires_at__gt=now).update(state=State.ALLOCATED, expires_at=None):
        node_id = line.values_list("node_id", flat=True).first()
        changed(f"node.{node_id}")
        return
    state = line.values_list("state", flat=True).first()
    if state == State.ALLOCATED:
        return
    why = "its promise has expired" if state else "nothing is committed for it"
    raise Refusal(
        "allocation_not_committed",
        f"allocation not committed: {allocation_id}: {why}",
        status=409,
        hint="commit it again",
    )


def release(allocation_ids: Iterable[str]) -> None:
    """Give back lines and ports of these allocations; harmless for those that hold nothing."""
    ids = list(allocation_ids)
    with transaction.atomic():
        _drop(Reservation.objects.filter(allocation_id__in=ids), ids)


def expire(now: datetime) -> int:
    """Take back every promise whose time is over; return how many there were."""
    with transaction.atomic():
        return _drop_expired(Reservation.objects.all(), now)


def lock(node: Node) -> Onboarding:
    """Take the ledger's lock until the transaction ends; `Refusal` when the node is not onboarded."""
    if not Onboarding.objects.filter(node=node).update(generation=F("generation") + 1):
        raise rules.not_onboarded()
    return Onboarding.objects.get(node=node)


def _drop_expired(lines: Any, now: datetime) -> int:
    return _drop(lines.filter(state=State.COMMITTED, expires_at__lte=now))


def _drop(lines: Any, ports_of: Sequence[str] = ()) -> int:
    # Rows are locked in one order everywhere, so that two of these never wait for each other.
    found = list(lines.order_by("pk").select_for_update().values_list("pk", "allocation_id", "node_id"))
    names = {*ports_of, *(name for _, name, _ in found)}
    if names:
        PortReservation.objects.filter(allocation_id__in=names).delete()
    if found:
        Reservation.objects.filter(pk__in=[pk for pk, _, _ in found]).delete()
        for node_id in {node_id for _, _, node_id in found}:
            changed(f"node.{node_id}")
            freed.send(sender=None, node_id=node_id)
    return len(found)


def _granted_before(
    node: Node, deployment_id: str, items: Sequence[LedgerItem], expires_at: datetime
) -> dict[str, Granted]:
    wanted = {item.allocation_id: item for item in items}
    granted = {}
    for line in Reservation.objects.filter(allocation_id__in=wanted).order_by("pk").select_for_update():
        item, amount = wanted[line.allocation_id], amount_of(line)
        held = PortReservation.objects.filter(node=node, allocation_id=line.allocation_id).order_by("pk")
        ports = list(held.values_list("port", flat=True))
        ours = line.node_id == node.pk and line.deployment_id == deployment_id
        if not ours or not rules.same_demand(amount, ports, item):
            raise Refusal(
                "already_committed",
                f"allocation {line.allocation_id} is already {line.state} with other resources or ports, or elsewhere",
                status=409,
                hint="release it first",
            )
        granted[line.allocation_id] = Granted(amount, ports)
        if line.state == State.COMMITTED:
            Reservation.objects.filter(pk=line.pk).update(expires_at=expires_at)
    return granted


def _usage(usage: Mapping[str, Any] | None) -> Usage | None:
    if usage is None and OUTSIDE.probe is not None:
        usage = OUTSIDE.probe.usage()
    return Usage.parse(usage) if usage else None


def _view(node: Node, row: Onboarding | None, usage: Mapping[str, Any] | None, now: datetime) -> LedgerView:
    amounts: dict[str, list[Resources]] = {State.COMMITTED: [], State.ALLOCATED: []}
    for line in Reservation.objects.filter(node=node):
        # A promise whose time is over counts as free even before the sweep takes it back.
        if line.state == State.ALLOCATED or line.expires_at is None or line.expires_at > now:
            amounts[line.state].append(amount_of(line))
    if row is None:
        return rules.view_of(Resources(), [], [])
    view = rules.view_of(amount_of(row, node), amounts[State.COMMITTED], amounts[State.ALLOCATED])
    return replace(view, used_by_others=_used_by_others(view, Usage.parse(usage))) if usage else view


def _used_by_others(view: LedgerView, usage: Usage) -> Resources:
    """Return what the rest of the machine uses at least: all that is used, less all that we have given away."""
    used = usage.used()
    return Resources(
        max(0, used.cpu_centicores - view.allocated.cpu_centicores),
        max(0, used.ram_bytes - view.allocated.ram_bytes),
        max(0, used.disk_bytes - view.allocated.disk_bytes),
    )


def _headroom(node: Node, view: LedgerView, usage: Usage | None, now: datetime) -> Headroom:
    """Return what the machine has free, less what is promised and not in use yet."""
    if usage is None:
        return Headroom()
    cpu = None
    sustained = sustained_cpu_percent(node, now)
    if sustained is not None and usage.cpu_centicores:
        used = round(usage.cpu_centicores * min(sustained, usage.cpu_percent) / 100)
        others = max(0, used - view.allocated.cpu_centicores)
        promised = view.allocated.cpu_centicores + view.committed.cpu_centicores
        cpu = max(0, usage.cpu_centicores - others - promised)
    promised_vram = {gpu.identity: gpu.vram_bytes for gpu in view.committed.gpus}
    return Headroom(
        cpu_centicores=cpu,
        ram_bytes=max(0, usage.ram_free_bytes - view.committed.ram_bytes),
        disk_bytes=max(0, usage.disk_free_bytes - view.committed.disk_bytes),
        gpu_vram_bytes={
            use.gpu.identity: max(0, use.vram_free_bytes - promised_vram.get(use.gpu.identity, 0))
            for use in usage.gpus
            if use.gpu.vram_bytes
        },
    )

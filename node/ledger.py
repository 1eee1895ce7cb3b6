"""The ledger's decisions: onboarded - allocated - committed = free, and what the machine really has. Pure.

A commit must fit in two things at once: what is free in the ledger, and what is free on the machine, which
others use too. Every gap of every item is said, with numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from capabilities.refusal import Reason, Refusal
from node.gpus import match_gpus
from node.resources import Gpu, Resources, Shortage, add, compare, quantity_gaps, subtract, sum_of

NOTHING: Final = Resources()


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """What is asked for one allocation. `dynamic_ports`: how many ports of the node's choice."""

    allocation_id: str
    resources: Resources
    static_ports: tuple[int, ...] = ()
    dynamic_ports: int = 0


@dataclass(frozen=True, slots=True)
class Granted:
    """What one allocation got: its resources with the GPUs chosen, and its ports, static ones first."""

    resources: Resources
    ports: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Headroom:
    """What the machine has free now, in the terms of a commit. None: not known, not checked.

    `gpu_vram_bytes` maps a GPU's identity to its free VRAM.
    """

    cpu_centicores: int | None = None
    ram_bytes: int | None = None
    disk_bytes: int | None = None
    gpu_vram_bytes: Mapping[tuple[str, ...], int] = field(default_factory=dict)


UNKNOWN: Final = Headroom()


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The ledger of one node at one moment; `used_by_others` is what the rest of the machine uses."""

    onboarded: Resources
    committed: Resources
    allocated: Resources
    free: Resources
    used_by_others: Resources = NOTHING

    def view(self) -> dict[str, dict[str, object]]:
        """Return the form of the command line and the resource endpoints."""
        names = ("onboarded", "allocated", "committed", "free", "used_by_others")
        return {name: getattr(self, name).view() for name in names}


def view_of(
    onboarded: Resources,
    committed: Sequence[Resources],
    allocated: Sequence[Resources],
    used_by_others: Resources = NOTHING,
) -> LedgerView:
    """Return the view of these lines; `Shortage` when they promise more than is onboarded."""
    committed_sum, allocated_sum = sum_of(committed), sum_of(allocated)
    free = subtract(onboarded, add(committed_sum, allocated_sum))
    return LedgerView(onboarded, committed_sum, allocated_sum, free, used_by_others)


def decide(
    view: LedgerView, items: Sequence[LedgerItem], headroom: Headroom = UNKNOWN
) -> dict[str, Resources]:
    """Return the resources each item gets, GPUs chosen; `Shortage` with every reason when one does not fit."""
    reasons: dict[Reason, None] = {}
    for item in items:
        traits = compare(view.onboarded, replace(NOTHING, traits=item.resources.traits))
        reasons.update(dict.fromkeys(traits.reasons))
    total = sum_of([replace(item.resources, gpus=()) for item in items])
    reasons.update(dict.fromkeys(quantity_gaps(view.free, total)))
    reasons.update(dict.fromkeys(machine_gaps(headroom, total)))
    shares, missing = _share_gpus(view, items, headroom)
    reasons.update(dict.fromkeys(missing))
    if reasons:
        raise Shortage(tuple(reasons))
    return {item.allocation_id: replace(item.resources, gpus=shares[item.allocation_id]) for item in items}


def gaps(view: LedgerView, items: Sequence[LedgerItem], headroom: Headroom = UNKNOWN) -> tuple[Reason, ...]:
    """Return every reason why the items do not fit; empty when they do."""
    try:
        decide(view, items, headroom)
    except Shortage as shortage:
        return shortage.reasons
    return ()


def machine_gaps(headroom: Headroom, need: Resources) -> tuple[Reason, ...]:
    """Return a reason for each of cores, RAM and disk that the machine itself has not free now."""
    have = Resources(
        need.cpu_centicores if headroom.cpu_centicores is None else headroom.cpu_centicores,
        need.ram_bytes if headroom.ram_bytes is None else headroom.ram_bytes,
        need.disk_bytes if headroom.disk_bytes is None else headroom.disk_bytes,
    )
    return tuple(
        replace(
            reason,
            check=f"machine.{reason.check}",
            message=f"no capacity left on the hardware: {reason.message}",
            hint=f"others on this machine use the rest; {reason.hint}",
        )
        for reason in quantity_gaps(have, need)
    )


def emptied(view: LedgerView) -> LedgerView:
    """Return the ledger as it would be if nothing were promised or in use."""
    return LedgerView(view.onboarded, NOTHING, NOTHING, view.onboarded)


def set_aside(
    view: LedgerView, headroom: Headroom, items: Sequence[LedgerItem]
) -> tuple[LedgerView, Headroom]:
    """Return what is left for others when what is free is kept for `items`, whether they fit yet or not.

    Of each resource as much as they want is kept, of what is there. While GPUs are missing for them all are kept:
    which of them will do is known only once they are free.
    """
    want = sum_of([replace(item.resources, gpus=()) for item in items])
    gpus = view.free.gpus
    if any(item.resources.gpus for item in items):
        shares, missing = _share_gpus(view, items, headroom)
        taken = sum_of([Resources(gpus=share) for share in shares.values()])
        gpus = () if missing else subtract(Resources(gpus=gpus), taken, view.onboarded.gpus).gpus
    free = Resources(
        max(0, view.free.cpu_centicores - want.cpu_centicores),
        max(0, view.free.ram_bytes - want.ram_bytes),
        max(0, view.free.disk_bytes - want.disk_bytes),
        gpus,
        view.free.traits,
    )

    def less(have: int | None, wanted: int) -> int | None:
        return None if have is None else max(0, have - wanted)

    return replace(view, free=free), replace(
        headroom,
        cpu_centicores=less(headroom.cpu_centicores, want.cpu_centicores),
        ram_bytes=less(headroom.ram_bytes, want.ram_bytes),
        disk_bytes=less(headroom.disk_bytes, want.disk_bytes),
    )


def _share_gpus(
    view: LedgerView, items: Sequence[LedgerItem], headroom: Headroom
) -> tuple[dict[str, tuple[Gpu, ...]], tuple[Reason, ...]]:
    """Choose GPUs for every item: in the order given, else the most demanding first."""
    by_need = sorted(items, key=lambda item: -sum(gpu.vram_bytes or 1 << 62 for gpu in item.resources.gpus))
    missing: tuple[Reason, ...] = ()
    for order in (items, by_need):
        free = [_usable(gpu, headroom) for gpu in view.free.gpus]
        shares: dict[str, tuple[Gpu, ...]] = {}
        missing = ()
        for item in order:
            pairs, gaps = match_gpus(item.resources.gpus, free, view.onboarded.gpus)
            missing += gaps
            shares[item.allocation_id] = tuple(share for share, _ in pairs)
            for share, holder in pairs:
                free.remove(holder)
                if holder.vram_bytes > share.vram_bytes:
                    free.append(replace(holder, vram_bytes=holder.vram_bytes - share.vram_bytes))
        if not missing:
            return shares, ()
    return {}, missing


def _usable(gpu: Gpu, headroom: Headroom) -> Gpu:
    """Return the GPU with the VRAM that is free in the ledger and on the machine."""
    real = headroom.gpu_vram_bytes.get(gpu.identity, gpu.vram_bytes)
    return replace(gpu, vram_bytes=min(gpu.vram_bytes, real))


def duplicate_reasons(items: Sequence[LedgerItem]) -> tuple[Reason, ...]:
    """Return a reason for each allocation or static port that the items name twice."""
    reasons = []
    allocations: set[str] = set()
    ports: set[int] = set()
    for item in items:
        if item.allocation_id in allocations:
            message = f"allocation {item.allocation_id} is asked for twice"
            reasons.append(Reason("ledger", message, path=item.allocation_id))
        allocations.add(item.allocation_id)
        for port in item.static_ports:
            if port in ports:
                message = f"cannot allocate port {port}: port {port} is asked for twice"
                reasons.append(Reason("ports", message, path="ports", needed=str(port)))
            ports.add(port)
    return tuple(reasons)


def same_demand(line: Resources, ports: Sequence[int], asked: LedgerItem) -> bool:
    """Say whether a line and its ports, static ones first, are the answer to what is `asked` (sent again)."""
    quantities = ("cpu_centicores", "ram_bytes", "disk_bytes")
    if any(getattr(line, name) != getattr(asked.resources, name) for name in quantities):
        return False
    static = len(asked.static_ports)
    same_ports = tuple(ports[:static]) == asked.static_ports and len(ports) == static + asked.dynamic_ports
    return same_ports and len(line.gpus) == len(asked.resources.gpus)


def not_onboarded() -> Refusal:
    """Return the answer of a machine that offers nothing."""
    return Refusal(
        "not_onboarded",
        "machine is not onboarded",
        status=409,
        hint="onboard it: ./dms onboard --cpu CORES --ram SIZE --disk SIZE",
    )

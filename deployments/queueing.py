"""The queue of what does not fit now: who goes next. Pure.

The rule: first come, first served, and nobody who came later ever delays somebody who came before. In the order of
arrival each takes what it needs if that is free; for one that does not fit yet, what it needs of what is free is kept,
so that a later one goes before it only with what it would not use anyway (there is no GPU, but cores are left over).
Whoever does not queue comes after everybody who does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from capabilities.refusal import Reason
from node.ledger import Headroom, LedgerItem, LedgerView, emptied, gaps, set_aside
from node.resources import Resources


@dataclass(frozen=True, slots=True)
class Demand:
    """What a deployment needs of one machine: each allocation's resources, ports by number, ports of any number."""

    parts: tuple[Resources, ...] = ()
    static: frozenset[int] = frozenset()
    dynamic: int = 0
    executors: frozenset[str] = frozenset()

    def items(self) -> list[LedgerItem]:
        """Return the parts as the ledger takes them."""
        return [LedgerItem(str(number), part) for number, part in enumerate(self.parts)]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        parts = [part.document() for part in self.parts]
        return {"parts": parts, "static": sorted(self.static), "dynamic": self.dynamic} | {
            "executors": sorted(self.executors)
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return what `document()` has made; an empty one needs nothing."""
        return cls(
            tuple(Resources.parse(part) for part in document.get("parts") or ()),
            frozenset(document.get("static") or ()),
            int(document.get("dynamic") or 0),
            frozenset(document.get("executors") or ()),
        )


@dataclass(frozen=True, slots=True)
class Room:
    """What a machine has free now. `taken`: ports that are held; `ports`: how many others are free."""

    view: LedgerView
    headroom: Headroom
    taken: frozenset[int] = frozenset()
    ports: int = 65_535

    def lacks(self, demand: Demand) -> tuple[Reason, ...]:
        """Return what is missing for `demand`; empty when it fits."""
        reasons = gaps(self.view, demand.items(), self.headroom)
        for port in sorted(self.taken & demand.static):
            reasons += (_no_ports(f"port {port} is held or kept", f"port {port}", "held"),)
        ports = demand.dynamic + len(demand.static)
        if ports > self.ports:
            reasons += (
                _no_ports(f"{ports} ports needed, {self.ports} free", f"{ports} ports", str(self.ports)),
            )
        return reasons

    def without(self, demand: Demand) -> Room:
        """Return what is left when `demand` is taken, or kept for whoever waits for it."""
        view, headroom = set_aside(self.view, self.headroom, demand.items())
        ports = max(0, self.ports - demand.dynamic - len(demand.static))
        return replace(self, view=view, headroom=headroom, taken=self.taken | demand.static, ports=ports)


def _no_ports(message: str, needed: str, available: str) -> Reason:
    return Reason(
        "ports", message, "ports", needed, available, "choose another port, or wait until it is free"
    )


def look(room: Room, queue: Iterable[tuple[str, Demand]]) -> dict[str, tuple[Reason, ...]]:
    """Return for each in the order of arrival what is missing for it; nothing: it is its turn."""
    found = {}
    for key, demand in queue:
        found[key] = room.lacks(demand)
        room = room.without(demand)
    return found


def turn(room: Room, queue: Iterable[tuple[str, Demand]]) -> list[str]:
    """Return the keys of those whose turn it is, in the order of arrival."""
    return [key for key, missing in look(room, queue).items() if not missing]


def kept_for(demands: Sequence[Demand]) -> tuple[tuple[Resources, ...], ...]:
    """Return what is to be kept for all of these: quantities in one sum, GPUs in the order of arrival.

    Keeping one quantity after the other leaves the same as keeping their sum, and a bid looks at it often.
    """
    parts = [part for demand in demands for part in demand.parts]
    if not parts:
        return ()
    total = Resources(
        sum(part.cpu_centicores for part in parts),
        sum(part.ram_bytes for part in parts),
        sum(part.disk_bytes for part in parts),
    )
    cards = [tuple(Resources(gpus=part.gpus) for part in demand.parts if part.gpus) for demand in demands]
    return ((total,), *filter(None, cards))


def impossible(view: LedgerView, demand: Demand) -> bool:
    """Say whether it would not fit even if nothing else ran on the machine."""
    return bool(gaps(emptied(view), demand.items()))

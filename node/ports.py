"""Ports: which may be held, and which are drawn. Pure; `node.services.ports` keeps them as rows.

The range is inclusive and never reaches beyond 65535. Nothing is ever freed here: a refused request leaves
what others hold, and what the same allocation held before, as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from capabilities.refusal import Reason, Refusal

HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from `low` to `high`, both included, clamped to what a port can be."""

    low: int
    high: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", max(1, self.low))
        object.__setattr__(self, "high", min(HIGHEST_PORT, self.high))
        if self.low > self.high:
            raise ValueError(f"the port range {self.low}-{self.high} is empty")

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.low <= port <= self.high

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"

    def free(self, held: Collection[int]) -> list[int]:
        """Return the ports nobody holds, ascending."""
        return [port for port in range(self.low, self.high + 1) if port not in held]


def static_reasons(
    ports: Sequence[int],
    *,
    allocation_id: str,
    held: Mapping[int, str],
    busy: Callable[[int], bool],
    allowed: PortRange,
) -> tuple[Reason, ...]:
    """Return why `ports` cannot be held for the allocation; empty when all of them can.

    `held` maps a port to the allocation that holds it. A port the allocation holds already is fine: asking
    again changes nothing, and is not looked up on the host, where the allocation itself may listen.
    """
    reasons = []
    for position, port in enumerate(ports):
        reason = ""
        if port in ports[:position]:
            reason = f"port {port} is asked for twice"
        elif port not in allowed:
            reason = f"port {port} is outside allowed range [{allowed}]"
        elif held.get(port) == allocation_id:
            continue
        elif port in held:
            reason = f"port {port} is already reserved"
        elif busy(port):
            reason = f"port {port} is not free: something on this machine uses it"
        if reason:
            reasons.append(
                Reason(
                    check="ports",
                    path="ports",
                    message=f"cannot allocate port {port}: {reason}",
                    needed=str(port),
                    available=str(allowed),
                    hint=f"choose another port in {allowed}, or 0 for a dynamic one",
                )
            )
    return tuple(reasons)


def draw(
    count: int, *, held: Collection[int], busy: Callable[[int], bool], allowed: PortRange, random: Random
) -> list[int]:
    """Return `count` ports drawn at random among those nobody holds and nothing on the host uses."""
    if count < 1:
        raise Refusal("no_ports", f"cannot allocate {count} ports", hint="ask for one port or more")
    free = allowed.free(held)
    chosen: list[int] = []
    if len(free) >= count:
        for port in _shuffled(free, random):
            if not busy(port):
                chosen.append(port)
                if len(chosen) == count:
                    return chosen
    found = len(chosen) if len(free) >= count else len(free)
    raise Refusal(
        "ports_not_available",
        f"failed to allocate {count} ports: {found} of [{allowed}] are free",
        status=409,
        reasons=(ports_reason(count, found, allowed),),
    )


def ports_reason(count: int, free: int, allowed: PortRange) -> Reason:
    """Return the reason for too few free ports."""
    return Reason(
        check="ports",
        path="ports",
        message=f"failed to allocate {count} ports: {free} of [{allowed}] are free",
        needed=f"{count} dynamic ports",
        available=str(free),
        hint="ask for fewer ports, or release some",
    )


def _shuffled(ports: list[int], random: Random) -> Iterator[int]:
    """Yield the ports in random order, doing only as much of the shuffle as is consumed."""
    for position in range(len(ports)):
        other = random.randrange(position, len(ports))
        ports[position], ports[other] = ports[other], ports[position]
        yield ports[position]

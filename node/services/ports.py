"""`PortAllocator`: a node's ports as rows, all or nothing, released only by the allocation that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random, SystemRandom

from django.db import IntegrityError, transaction

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.models import Node, PortReservation
from node.outside import OUTSIDE
from node.ports import PortRange, draw, static_reasons


def port_range() -> PortRange:
    """Return the range this site gives ports from."""
    return PortRange(NUMBERS.port_range_from, NUMBERS.port_range_to)


class PortAllocator:
    """Keeps track of which port of `node` is held for which allocation.

    The database's unique constraint is the last word: where two transactions draw the same port, one is
    refused and holds nothing.
    """

    def __init__(self, node: Node, *, allowed: PortRange | None = None, random: Random | None = None) -> None:
        self.node = node
        self.allowed = allowed or port_range()
        self.random = random or SystemRandom()

    def allocate_ports(self, allocation_id: str, ports: Sequence[int]) -> None:
        """Hold all of `ports` for the allocation, or none and raise `Refusal` with every reason."""
        held = self._held()
        reasons = static_reasons(
            ports, allocation_id=allocation_id, held=held, busy=self._busy, allowed=self.allowed
        )
        if reasons:
            raise Refusal(
                "ports_not_available",
                "; ".join(reason.message for reason in reasons),
                status=409,
                reasons=reasons,
            )
        self._hold(allocation_id, [port for port in ports if port not in held])

    def allocate_random(self, allocation_id: str, num_ports: int) -> list[int]:
        """Hold `num_ports` ports drawn at random, on top of what the allocation holds, and return them."""
        ports = draw(num_ports, held=self._held(), busy=self._busy, allowed=self.allowed, random=self.random)
        self._hold(allocation_id, ports)
        return ports

    def allocated(self, ports: Iterable[int]) -> bool:
        """Say whether any of `ports` is held."""
        return PortReservation.objects.filter(node=self.node, port__in=list(ports)).exists()

    def get_allocation(self, allocation_id: str) -> list[int]:
        """Return the ports of the allocation in the order they were given; `Refusal` when it holds none."""
        rows = PortReservation.objects.filter(node=self.node, allocation_id=allocation_id).order_by("pk")
        ports = list(rows.values_list("port", flat=True))
        if not ports:
            raise Refusal("not_found", f"port allocation ID not found: {allocation_id}", status=404)
        return ports

    def ports_available(self, num_ports: int) -> bool:
        """Say whether at least `num_ports` are free of the range."""
        taken = PortReservation.objects.filter(
            node=self.node, port__gte=self.allowed.low, port__lte=self.allowed.high
        ).count()
        return self.allowed.high - self.allowed.low + 1 - taken >= num_ports

    def release(self, allocation_id: str) -> None:
        """Let go of what the allocation holds; harmless when it holds nothing."""
        PortReservation.objects.filter(node=self.node, allocation_id=allocation_id).delete()

    def held(self) -> dict[int, str]:
        """Return which allocation holds which port."""
        return self._held()

    def _held(self) -> dict[int, str]:
        rows = PortReservation.objects.filter(node=self.node)
        return dict(rows.values_list("port", "allocation_id"))

    def _busy(self, port: int) -> bool:
        return OUTSIDE.probe is not None and OUTSIDE.probe.port_busy(port)

    def _hold(self, allocation_id: str, ports: Sequence[int]) -> None:
        rows = [PortReservation(node=self.node, port=port, allocation_id=allocation_id) for port in ports]
        try:
            with transaction.atomic():
                PortReservation.objects.bulk_create(rows)
        except IntegrityError:
            named = ", ".join(map(str, ports))
            raise Refusal(
                "ports_not_available",
                f"cannot allocate port {named}: somebody else has just reserved one of them",
                status=409,
                hint="ask again",
            ) from None

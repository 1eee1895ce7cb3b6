"""Ports to the outside that this room needs and `workers` provides (`workers.apps` registers them at start)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


class Probe(Protocol):
    """Looks at the machine this process runs on."""

    def hardware(self) -> dict[str, Any]:
        """Return the hardware facts, in the shape of `node.hardware.HardwareFacts.document()`."""

    def usage(self) -> dict[str, Any]:
        """Return what is used now by everybody, in the shape of `node.hardware.Usage.document()`."""

    def benchmark(self, budget_s: float) -> dict[str, Any]:
        """Measure the machine within the time; return figures by name (`node.benchmarks.NAMES`)."""

    def port_busy(self, port: int) -> bool:
        """Say whether something on the host listens on `port`, TCP or UDP, on any address."""


class Transport(Protocol):
    """Carries one envelope to a site at an address, and its answer back. Nothing rests on it: both are signed."""

    def carry(self, envelope: bytes, address: str, verb: str, timeout_s: float) -> bytes:
        """Hand over the envelope by `verb` (send, invoke, broadcast); return what was answered, unread.

        Raises `node.reaching.Unreachable` with the step, or `RefusedThere` when there was an unsigned no.
        """

    def handle(self, address: str, timeout_s: float) -> bytes:
        """Return what the site at the address says how its node is addressed."""


@dataclass
class Outside:
    """Where the provided ports are kept; transports by the scheme of the addresses they serve."""

    probe: Probe | None = None
    transports: dict[str, Transport] = field(default_factory=dict)


OUTSIDE = Outside()

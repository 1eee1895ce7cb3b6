"""Ports to the outside that this room needs and `workers` provides (`workers.apps` registers them at start)."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass
class Outside:
    """Where the provided ports are kept."""

    probe: Probe | None = None


OUTSIDE = Outside()

"""Ports to the outside that this room needs and `workers` provides (`workers.apps` registers them at start)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


class LogSource(Protocol):
    """Reads the log of an allocation, live from its executor or from what was kept at its end."""

    def read(
        self,
        allocation_id: str,
        *,
        stream: str,
        tail: int | None = None,
        follow: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[bytes]:
        """Yield chunks of `stream` (stdout, stderr or both); with `follow` until the end or until `stopped()`."""

    def write(self, allocation_id: str) -> str:
        """Write stdout.log and stderr.log below DMS_HOME and return the folder that holds them."""


@dataclass
class Outside:
    """Where the provided ports are kept."""

    logs: LogSource | None = None
    # From executor, node's DID and execution id to what the engine calls the container.
    container_name: Callable[[str, str, str], str] | None = None


OUTSIDE = Outside()

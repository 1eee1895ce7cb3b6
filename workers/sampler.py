"""Sample what this node's running allocations use, every few seconds: percents need the reading before, kept here.

Each executor's figures are written before the next one is asked, so that one that hangs costs the others nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from deployments.models import Allocation, AllocationSample
from deployments.services.samples import is_kept, samples_keep
from deployments.usage import cpu_percent
from node.gpus import Gpu
from node.models import Node
from workers.executors.base import Executor, ExecutorError, Stats
from workers.executors.registry import executors
from workers.probes.gpu_use import GpuLook, look

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A running allocation as the sampler needs it."""

    allocation_id: str
    execution_id: str
    executor: str
    attempt: int
    gpus: tuple[Gpu, ...]


class Sampler:
    """Samples one node; remembers the last reading of each execution."""

    def __init__(self, node: Node, having: Mapping[str, Executor] | None = None) -> None:
        self._node = node
        self._executors = executors(node.identity.did) if having is None else having
        self._before: dict[str, tuple[Stats, datetime]] = {}

    def turn(self) -> int:
        """Sample everything once; return how many samples were kept."""
        running = self._running()
        self._before = {
            one.execution_id: self._before[one.execution_id]
            for one in running
            if one.execution_id in self._before
        }
        gpus = look() if any(one.gpus for one in running) else None
        kept = 0
        for name, executor in self._executors.items():
            mine = {one.execution_id: one for one in running if one.executor == name}
            if not mine:
                continue
            try:
                found = executor.stats(mine)
            except ExecutorError as error:
                logger.warning("measuring what %s runs: %s", name, error.detail)
                continue
            kept += samples_keep(self._samples(mine, found, gpus))
        return kept

    def _running(self) -> list[Running]:
        rows = Allocation.objects.filter(node=self._node, status=Allocation.Status.RUNNING)
        rows = rows.exclude(execution_id="").order_by("pk")
        names = ("pk", "execution_id", "executor", "attempt", "spec__granted__gpus")
        return [
            Running(pk, execution_id, executor, attempt, tuple(Gpu.parse(gpu) for gpu in gpus or ()))
            for pk, execution_id, executor, attempt, gpus in rows.values_list(*names)
        ]

    def _samples(
        self, mine: Mapping[str, Running], found: Mapping[str, Stats], gpus: GpuLook | None
    ) -> Iterable[AllocationSample]:
        now = timezone.now()
        for execution_id, told in found.items():
            one = mine[execution_id]
            before, at = self._before.get(execution_id, (None, None))
            self._before[execution_id] = told, now
            percent = (
                cpu_percent(told.cpu_ns, before.cpu_ns, told.read_ns - before.read_ns) if before else None
            )
            yield AllocationSample(
                allocation_id=one.allocation_id,
                at=now,
                attempt=one.attempt,
                kept=is_kept(now, at),
                cpu_percent=percent,
                gpus=_gpus(one, told, gpus),
                **{name: getattr(told, name) for name in COPIED},
            )


COPIED = (
    "cpu_ns",
    "ram_used_bytes",
    "ram_limit_bytes",
    "rx_bytes",
    "tx_bytes",
    "read_bytes",
    "written_bytes",
    "disk_used_bytes",
    "pids",
)


def _gpus(one: Running, told: Stats, gpus: GpuLook | None) -> list[dict[str, Any]]:
    return gpus.shares(one.gpus, told.processes) if gpus and one.gpus else []

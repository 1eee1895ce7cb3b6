"""Which part of a GPU's use is whose: by the processes that the driver names.

A GPU is busy as a whole: its driver says so for the device. Memory it tells by process; where it does not, what is
used on the whole GPU is said, and that of the process is None.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from node.gpus import Gpu
from node.hardware import GpuUse
from workers.probes.gpu import gpus

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GpuLook:
    """All GPUs at one moment; `by_process`: bytes of memory by GPU (its UUID) and process."""

    uses: Sequence[GpuUse]
    by_process: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def shares(self, held: Iterable[Gpu], processes: Iterable[int]) -> list[dict[str, Any]]:
        """Return for each GPU that is held what is used of it, and what `processes` use of its memory."""
        known = {use.gpu.identity: use for use in self.uses}
        mine = set(processes)
        found = []
        for gpu in held:
            use = known.get(gpu.identity)
            if use is None:
                continue  # lost, or this driver does not tell
            told = self.by_process.get(use.gpu.uuid)
            own = None if told is None else sum(size for pid, size in told.items() if pid in mine)
            found.append(
                {
                    "index": use.gpu.index,
                    "model": use.gpu.model,
                    "busy_percent": use.busy_percent,
                    "vram_used_bytes": own,
                    "vram_used_by_all_bytes": use.vram_used_bytes,
                    "vram_granted_bytes": gpu.vram_bytes,
                }
            )
        return found


def look(library: Any = None) -> GpuLook:
    """Look at every GPU now; `library` stands in for `pynvml` in tests."""
    return GpuLook(gpus(library), _by_process(library))


def _by_process(library: Any) -> dict[str, dict[int, int]]:
    library = library or import_module("pynvml")
    try:
        library.nvmlInit()
    except library.NVMLError:
        return {}
    found: dict[str, dict[int, int]] = {}
    try:
        for index in range(library.nvmlDeviceGetCount()):
            try:
                handle = library.nvmlDeviceGetHandleByIndex(index)
                uuid = library.nvmlDeviceGetUUID(handle)
                processes = library.nvmlDeviceGetComputeRunningProcesses(handle)
            except library.NVMLError as error:
                logger.info("GPU %d does not tell its processes: %s", index, error)
                continue
            name = uuid.decode(errors="replace") if isinstance(uuid, bytes) else str(uuid)
            sizes = {int(one.pid): one.usedGpuMemory for one in processes}
            if None not in sizes.values():  # a driver in some modes names processes without their memory
                found[name] = sizes
    finally:
        library.nvmlShutdown()
    return found

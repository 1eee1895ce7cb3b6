"""Whose a GPU's memory is, against a stand-in for NVML: no GPU exists on a test machine.

A contract test: the names that the stand-in adds are checked against the real `nvidia-ml-py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml

from node.gpus import Gpu
from tests.unit.workers.test_gpu_probe import GIB, StandIn
from workers.probes.gpu_use import look

HELD = Gpu(index=0, vendor="NVIDIA", model="NVIDIA A10", uuid="GPU-0", vram_bytes=8 * GIB)


class Working(StandIn):
    """Two cards; on the first run processes 7 and 8, the second names its processes without their memory."""

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        if handle == 1:
            return [SimpleNamespace(pid=9, usedGpuMemory=None)]
        return [SimpleNamespace(pid=7, usedGpuMemory=GIB), SimpleNamespace(pid=8, usedGpuMemory=2 * GIB)]


def test_the_name_is_the_real_module_s() -> None:
    assert hasattr(pynvml, "nvmlDeviceGetComputeRunningProcesses")


def test_an_allocation_gets_its_own_memory_and_the_load_of_the_card() -> None:
    library = Working()
    (share,) = look(library).shares([HELD], (7, 1234))
    assert (share["index"], share["busy_percent"]) == (0, 37.0)
    assert (share["vram_used_bytes"], share["vram_granted_bytes"]) == (GIB, 8 * GIB)
    assert library.open == 0


def test_a_driver_that_names_no_memory_leaves_it_untold() -> None:
    (share,) = look(Working()).shares([Gpu(uuid="GPU-1")], (9,))
    assert share["vram_used_bytes"] is None
    assert share["vram_used_by_all_bytes"] == GIB
    assert share["busy_percent"] is None


def test_a_lost_card_and_no_driver_are_no_error() -> None:
    assert look(Working(broken=0)).shares([HELD], (7,)) == []
    none = Working(init_error=StandIn.NVMLError_LibraryNotFound())
    assert look(none).shares([HELD], (7,)) == []

"""The built-in measurements on this machine, with tools that are absent or that fail, and a GPU stand-in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node.benchmarks import NAMES
from workers.probes.benchmark import measure


class NvmlError(Exception):
    pass


def nvml(count: int = 1, **changes: Any) -> Any:
    functions = {
        "NVMLError": NvmlError,
        "NVML_CLOCK_MEM": 2,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: count,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetMaxClockInfo": lambda handle, kind: 1_215,
        "nvmlDeviceGetMemoryBusWidth": lambda handle: 5_120,
    }
    return SimpleNamespace(**functions | changes)


@pytest.mark.parametrize("tools", ["absent", "broken"])
def test_every_figure_is_there_and_says_how(tmp_path: Path, tools: str) -> None:
    if tools == "broken":
        for name in ("sysbench", "fio"):
            (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
            (tmp_path / name).chmod(0o755)
    found = measure(tmp_path / "not" / "yet", 1.1, 2, search=str(tmp_path), gpu_library=nvml())
    assert set(found) == set(NAMES)
    for name, item in found.items():
        assert item.get("value", 0) > 0, (name, item)
        if name != "gpu_memory":
            assert item["method"].startswith("built-in"), name
    # An A100's 1,215 MHz and 5,120 bits.
    assert found["gpu_memory"]["value"] == pytest.approx(1.555e12, rel=0.01)
    assert "nominal" in found["gpu_memory"]["method"]
    assert not list(tmp_path.glob("benchmark-*"))


def test_no_gpu_has_no_figure_and_a_silent_one_says_so(tmp_path: Path) -> None:
    def fails(*_: Any) -> None:
        raise NvmlError("not supported")

    quick = {"search": str(tmp_path)}
    assert "gpu_memory" not in measure(tmp_path, 0.2, 1, gpu_library=nvml(0), **quick)
    assert "gpu_memory" not in measure(tmp_path, 0.2, 1, gpu_library=nvml(nvmlInit=fails), **quick)
    silent = measure(tmp_path, 0.2, 1, gpu_library=nvml(nvmlDeviceGetMemoryBusWidth=fails), **quick)
    assert silent["gpu_memory"] == {"error": "not supported"}

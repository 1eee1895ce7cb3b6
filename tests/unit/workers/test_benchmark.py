"""The built-in measurements on this machine, with tools that are absent or that fail, and a GPU stand-in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node import benchmarks
from node.benchmarks import NAMES
from workers.probes import gpu_copies
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
        "nvmlDeviceGetUUID": lambda handle: "GPU-00000000-0000-0000-0000-000000000000",
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


def test_copies_in_the_gpus_memory_are_read_as_bandwidth_or_refused() -> None:
    read = benchmarks.gpu_copies('{"size_bytes": 1073741824, "copies": 1000, "seconds": 0.8}')
    assert read["value"] == pytest.approx(2 * (1 << 30) * 1000 / 0.8)
    assert "1024 MiB" in read["method"]
    for text in ("", "{}", "[]", '{"size_bytes": 1, "copies": 1, "seconds": 0}', "warning"):
        with pytest.raises(benchmarks.Unreadable):
            benchmarks.gpu_copies(text)


def test_the_gpus_program_says_which_part_of_the_driver_refused(tmp_path: Path) -> None:
    with pytest.raises(gpu_copies.Silent, match="no-such-driver"):
        gpu_copies.driver("no-such-driver.so")
    program = [sys.executable, "-I", gpu_copies.__file__, "0.1"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:  # a machine with a GPU
        assert benchmarks.gpu_copies(done.stdout)["value"] > 1e9
    else:
        assert "cuda" in done.stderr.lower()

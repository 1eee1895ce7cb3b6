"""Measure the machine within a bounded time: sysbench and fio where they are installed, otherwise built-in loops.

A built-in figure is named so: it compares machines of this software with each other, and nothing else.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from node import benchmarks
from node.benchmarks import Unreadable, figure
from workers.probes import gpu_copies

logger = logging.getLogger(__name__)
Figures = dict[str, dict[str, Any]]
# Of the whole time, how much one figure may take; there are eleven such parts with starts and ends.
PARTS = 11
BLOCK_BYTES = 1 << 20
FILE_BYTES = 64 << 20
GPU_SET_UP_S = 20
BUILT_IN = "built-in (Python)"
_LOOP = """
import sys, time
end = time.perf_counter() + float(sys.argv[1])
done = 0
while time.perf_counter() < end:
    x = 0
    for i in range(10000):
        x = (x * 31 + i) & 0xFFFFFFFF
    done += 1
print(done)
"""


def measure(
    work: Path, budget_s: float, cores: int, search: str | None = None, gpu_library: Any = None
) -> Figures:
    """Return the figures; one that cannot be had is there as `{"error": why}`. `search`: a PATH for the tools."""
    part = budget_s / PARTS
    sysbench, fio = shutil.which("sysbench", path=search), shutil.which("fio", path=search)
    found: Figures = {}
    for count, name in ((1, "cpu_single"), (cores, "cpu_all")):
        found[name] = _first(
            sysbench and (lambda count=count: _sysbench_cpu(str(sysbench), count, part)),
            lambda count=count: _loops(count, part),
        )
    found["memory"] = _first(
        sysbench and (lambda: _sysbench_memory(str(sysbench), part)), lambda: _copies(part)
    )
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=_place(work)) as folder:
        found |= _disk(Path(folder), fio, part)
    found["loopback"] = _first(None, lambda: _loopback(part))
    return found | _gpu(part, gpu_library)


def _place(work: Path) -> Path:
    while not work.exists():
        work = work.parent
    return work


def _first(*ways: Any) -> dict[str, Any]:
    """Return the figure of the first way that works; the last fault when none does."""
    fault = "no way to measure it here"
    for way in ways:
        if not way:
            continue
        try:
            done: dict[str, Any] = way()
            return done
        except (OSError, subprocess.SubprocessError, Unreadable) as error:
            logger.warning("benchmark: %s", error)
            fault = str(error)
    return {"error": fault[:200]}


def _output(*command: str, timeout_s: float) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True).stdout


def _sysbench_cpu(tool: str, threads: int, part: float) -> dict[str, Any]:
    seconds = str(max(1, int(part)))
    return benchmarks.sysbench_cpu(
        _output(tool, "cpu", f"--threads={threads}", f"--time={seconds}", "run", timeout_s=part * 3)
    )


def _sysbench_memory(tool: str, part: float) -> dict[str, Any]:
    options = (f"--time={max(1, int(part))}", "--memory-block-size=1M", "--memory-total-size=100T")
    return benchmarks.sysbench_memory(_output(tool, "memory", *options, "run", timeout_s=part * 3))


def _loops(count: int, part: float) -> dict[str, Any]:
    """Count loops in as many processes as cores: threads of one Python would share one."""
    command = [sys.executable, "-I", "-c", _LOOP, str(part)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        done = sum(int(process.communicate(timeout=part * 4)[0] or 0) for process in running)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    return figure(done / part, "events/s", f"{BUILT_IN}: loops of 10,000 steps, {count} processes")


def _timed(part: float, step: Callable[[], int]) -> float:
    """Return units a second of a step that is repeated for the time."""
    begin = time.perf_counter()
    done = 0
    while (taken := time.perf_counter() - begin) < part:
        done += step()
    return done / taken


def _copies(part: float) -> dict[str, Any]:
    source, target = bytearray(32 * BLOCK_BYTES), bytearray(32 * BLOCK_BYTES)

    def copy() -> int:
        target[:] = source
        return len(source)

    return figure(_timed(part, copy), "bytes/s", f"{BUILT_IN}: copies of 32 MiB, one core")


def _disk(folder: Path, fio: str | None, part: float) -> Figures:
    names = ("disk_write", "disk_read", "disk_latency")
    if fio:
        try:
            return benchmarks.fio(_fio(fio, folder, part))
        except (OSError, subprocess.SubprocessError, Unreadable) as error:
            logger.warning("benchmark: %s", error)
    ways = (_write, _read, _latency)
    return {
        name: _first(None, lambda way=way: way(folder, part)) for name, way in zip(names, ways, strict=True)
    }


def _fio(tool: str, folder: Path, part: float) -> str:
    shared = (
        f"--directory={folder}",
        f"--size={FILE_BYTES}",
        f"--runtime={max(1, int(part))}",
        "--time_based",
    )
    return _output(
        tool,
        "--output-format=json",
        *("--name=write", *shared, "--rw=write", "--bs=1M", "--end_fsync=1"),
        *("--name=read", *shared, "--stonewall", "--rw=read", "--bs=1M", "--invalidate=1"),
        *("--name=latency", *shared, "--stonewall", "--rw=randwrite", "--bs=4k", "--sync=1"),
        timeout_s=part * 8,
    )


def _write(folder: Path, part: float) -> dict[str, Any]:
    block = os.urandom(BLOCK_BYTES)
    with (folder / "data").open("wb", buffering=0) as file:

        def write() -> int:
            file.seek(0)
            for _ in range(FILE_BYTES // BLOCK_BYTES):
                file.write(block)
            os.fsync(file.fileno())
            return FILE_BYTES

        return figure(_timed(part, write), "bytes/s", f"{BUILT_IN}: 64 MiB and fsync")


def _read(folder: Path, part: float) -> dict[str, Any]:
    with (folder / "data").open("rb", buffering=0) as file:

        def read() -> int:
            # What the page cache holds would be memory's speed.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            done = 0
            while chunk := file.read(BLOCK_BYTES):
                done += len(chunk)
            return max(1, done)

        return figure(_timed(part, read), "bytes/s", f"{BUILT_IN}: 64 MiB past the page cache")


def _latency(folder: Path, part: float) -> dict[str, Any]:
    block = os.urandom(4096)
    with (folder / "small").open("wb", buffering=0) as file:

        def write() -> int:
            file.write(block)
            os.fsync(file.fileno())
            return 1

        return figure(1_000 / _timed(part, write), "ms", f"{BUILT_IN}: 4 KiB and fsync, mean")


def _loopback(part: float) -> dict[str, Any]:
    block = bytes(BLOCK_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(part * 2)

        def send() -> None:
            try:
                with socket.create_connection(server.getsockname(), timeout=part * 2) as out:
                    end = time.perf_counter() + part
                    while time.perf_counter() < end:
                        out.sendall(block)
            except OSError as error:
                logger.warning("benchmark: loopback: %s", error)

        sender = threading.Thread(target=send, name="benchmark-loopback", daemon=True)
        sender.start()
        inward, _ = server.accept()
        with inward:
            inward.settimeout(part * 2)
            begin, done = time.perf_counter(), 0
            while count := len(inward.recv(BLOCK_BYTES)):
                done += count
            taken = time.perf_counter() - begin
        sender.join(part)
    return figure(done / max(taken, 1e-6), "bytes/s", f"{BUILT_IN}: one TCP connection over 127.0.0.1")


def _gpu(part: float, library: Any = None) -> Figures:
    """Return how fast the first NVIDIA GPU copies within its memory; nothing where there is none.

    Where it cannot be measured, what its memory's clock and bus allow, named as such.
    """
    library = library or import_module("pynvml")
    try:
        library.nvmlInit()
    except library.NVMLError:
        return {}
    try:
        if not library.nvmlDeviceGetCount():
            return {}
        handle = library.nvmlDeviceGetHandleByIndex(0)
        uuid = library.nvmlDeviceGetUUID(handle)
        name = uuid.decode() if isinstance(uuid, bytes) else str(uuid)
        return {"gpu_memory": _first(lambda: _gpu_copies(name, part), lambda: _gpu_nominal(library, handle))}
    except library.NVMLError as error:
        return {"gpu_memory": {"error": str(error)}}
    finally:
        library.nvmlShutdown()


def _gpu_copies(uuid: str, part: float) -> dict[str, Any]:
    command = [sys.executable, "-I", gpu_copies.__file__, str(part)]
    # A first use of the driver may take seconds: it sets the GPU up.
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=part * 3 + GPU_SET_UP_S,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": uuid},
        check=False,
    )
    if done.returncode:
        raise Unreadable(f"the GPU cannot be measured: {done.stderr.strip()[-200:]}")
    return benchmarks.gpu_copies(done.stdout)


def _gpu_nominal(library: Any, handle: Any) -> dict[str, Any]:
    clock = library.nvmlDeviceGetMaxClockInfo(handle, library.NVML_CLOCK_MEM)
    return benchmarks.nominal_gpu_bandwidth(clock, library.nvmlDeviceGetMemoryBusWidth(handle))

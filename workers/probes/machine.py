"""The machine as a whole: facts and use, within what a cgroup leaves of it."""

from __future__ import annotations

import platform
import socket
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from node.hardware import HardwareFacts, Usage
from workers.probes import cgroup, cpu, gpu
from workers.probes.benchmark import measure
from workers.probes.ports import port_busy

CPU_WINDOW_S = 1.0


class MachineProbe:
    """Looks at this machine. `work` is where work is stored: its file system's disk counts."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._lock = threading.Lock()
        self._before = psutil.cpu_times()
        self._before_at = time.monotonic()
        self._percent = psutil.cpu_percent(interval=None)

    def hardware(self) -> dict[str, Any]:
        """Return the facts (`HardwareFacts.document()`)."""
        total = psutil.virtual_memory().total
        memory = min(total, cgroup.memory_limit_bytes() or total)
        cores = cpu.usable_centicores()
        notes = []
        if memory < total:
            notes.append(f"a cgroup limits memory to {memory} of {total} bytes")
        if cores < (psutil.cpu_count() or 1) * 100:
            notes.append(f"limits leave {cores / 100:g} of {psutil.cpu_count()} cores")
        return HardwareFacts(
            hostname=socket.gethostname(),
            system=f"{platform.system()} {platform.release()}",
            cpu_centicores=cores,
            cpu=cpu.traits(),
            ram_bytes=memory,
            disk_bytes=psutil.disk_usage(str(self._place())).total,
            gpus=tuple(use.gpu for use in gpu.gpus()),
            notes=tuple(notes),
        ).document()

    def benchmark(self, budget_s: float) -> dict[str, Any]:
        """Measure the machine within the time (`node.benchmarks.NAMES`)."""
        return measure(self.work, budget_s, max(1, round(cpu.usable_centicores() / 100)))

    def usage(self) -> dict[str, Any]:
        """Return what is used now (`Usage.document()`); CPU is the mean since the look before."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._place()))
        size, used = memory.total, memory.total - memory.available
        limit = cgroup.memory_limit_bytes()
        if limit is not None and limit < size:
            # Both count: the group's own use against its limit, and the machine's against what it has.
            room = min(limit - (cgroup.memory_used_bytes() or 0), memory.available)
            size, used = limit, limit - max(0, room)
        return Usage(
            cpu_percent=self._cpu_percent(),
            cpu_centicores=cpu.usable_centicores(),
            ram_bytes=size,
            ram_used_bytes=used,
            disk_bytes=disk.total,
            disk_used_bytes=disk.used,
            disk_free_bytes=disk.free,
            gpus=gpu.gpus(),
        ).document()

    def port_busy(self, port: int) -> bool:
        """Say whether something on the host uses `port`."""
        return port_busy(port)

    def _place(self) -> Path:
        """Return the folder of work, or the nearest one above that exists."""
        return next(path for path in (self.work, *self.work.parents) if path.exists())

    def _cpu_percent(self) -> float:
        """Return the busy share of all cores since the last look, or what that said if it was just now."""
        with self._lock:
            now = time.monotonic()
            if now - self._before_at < CPU_WINDOW_S:
                return self._percent
            times = psutil.cpu_times()
            busy = _busy(times) - _busy(self._before)
            total = sum(times) - sum(self._before)
            self._percent = round(100 * busy / total, 2) if total > 0 else self._percent
            self._before, self._before_at = times, now
            return self._percent


def _busy(times: Any) -> float:
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Guests are counted in user and nice already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)

"""What a running process' control groups say it and its siblings have used: versions 1 and 2, read from the files.

A dozen small files an execution cost a fraction of a millisecond; asking an engine for the same costs it seconds of
sampling. Whoever may not read them, or looks from another process namespace, gets None and asks the engine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workers.executors.base import Stats

PROC: Final = Path("/proc")
UNLIMITED: Final = 1 << 60  # version 1 writes a number near 2^63 where there is no limit
PROCESSES_MAX: Final = 512
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where each version 1 controller is mounted, and where version 2 is."""

    legacy: Mapping[str, Path]
    unified: Path | None


@dataclass(frozen=True, slots=True)
class Folders:
    """The groups of one execution: its folder by controller in version 1, or its one folder in version 2."""

    legacy: Mapping[str, Path]
    unified: Path | None


def mounts(mountinfo: Path = PROC / "self" / "mountinfo") -> Mounts:
    """Return where control groups are mounted."""
    legacy: dict[str, Path] = {}
    unified: Path | None = None
    for line in mountinfo.read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        place = Path(left.split()[4])
        if kind == "cgroup2":
            unified = unified or place
        elif kind == "cgroup":
            for controller in options.split(","):
                legacy.setdefault(controller, place)
    return Mounts(legacy, unified)


def folders_of(pid: int, marker: str, where: Mounts, proc: Path = PROC) -> Folders | None:
    """Return the groups of the process; None when it is gone, or is not in groups named after `marker`.

    The marker makes sure that the pid has not been given to somebody else, and ends the path where a process
    has made groups below its own.
    """
    legacy: dict[str, Path] = {}
    unified: Path | None = None
    for line in _text(proc / str(pid) / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        parts = Path(path).parts[1:]
        depth = next((index for index, part in enumerate(parts) if marker in part), None)
        if depth is None:
            continue
        inner = Path(*parts[: depth + 1])
        if not controllers and where.unified is not None:
            unified = where.unified / inner
        for controller in controllers.split(","):
            if controller in where.legacy:
                legacy[controller] = where.legacy[controller] / inner
    if "memory" in legacy:
        return Folders(legacy, None)
    return Folders({}, unified) if unified is not None and unified.is_dir() else None


def stats(folders: Folders, proc: Path = PROC) -> Stats | None:
    """Return what the groups have used; None when they are gone. Network and disk are the caller's."""
    read = _legacy(folders.legacy) if folders.unified is None else _unified(folders.unified)
    if read is None:
        return None
    processes = tuple(int(line) for line in read.pop("processes").split())
    counts = {name: int(text) for name, text in read.items() if text.isdigit()}
    io = (counts.get("read_bytes"), counts.get("written_bytes"))
    if folders.unified is None or None in io:
        # Version 1 counts no write that goes through the page cache; the processes do.
        io = _larger(io, _process_io(processes, proc))
    limit = counts.get("ram_limit_bytes")
    cpu_ns = counts.get("cpu_ns")
    return Stats(
        read_ns=time.monotonic_ns(),
        cpu_ns=_process_cpu_ns(processes, proc) if cpu_ns is None else cpu_ns,
        ram_used_bytes=max(0, counts.get("ram_bytes", 0) - counts.get("droppable_bytes", 0)),
        ram_limit_bytes=limit if limit is not None and limit < UNLIMITED else None,
        read_bytes=io[0],
        written_bytes=io[1],
        pids=counts.get("pids", len(processes)),
        processes=processes,
    )


def network(pid: int, proc: Path = PROC) -> tuple[int | None, int | None]:
    """Return the bytes received and sent in the process' network namespace, loopback left out."""
    received = sent = 0
    lines = _text(proc / str(pid) / "net" / "dev").splitlines()[2:]
    for line in lines:
        name, _, figures = line.partition(":")
        columns = figures.split()
        if name.strip() != "lo" and len(columns) > 8:
            received += int(columns[0])
            sent += int(columns[8])
    return (received, sent) if lines else (None, None)


def _legacy(folders: Mapping[str, Path]) -> dict[str, str] | None:
    memory = folders["memory"]
    processes = _content(memory / "cgroup.procs")
    if processes is None:
        return None
    lacking = Path("/nonexistent")
    account, disk, pids = (folders.get(name, lacking) for name in ("cpuacct", "blkio", "pids"))
    io = _text(disk / "blkio.throttle.io_service_bytes_recursive")
    return {
        "processes": processes,
        "cpu_ns": _text(account / "cpuacct.usage").strip(),
        "ram_bytes": _text(memory / "memory.usage_in_bytes").strip(),
        "droppable_bytes": _value(_text(memory / "memory.stat"), "total_inactive_file"),
        "ram_limit_bytes": _text(memory / "memory.limit_in_bytes").strip(),
        "read_bytes": str(_sum_of(io, " Read ")),
        "written_bytes": str(_sum_of(io, " Write ")),
        "pids": _text(pids / "pids.current").strip(),
    }


def _unified(folder: Path) -> dict[str, str] | None:
    processes = _content(folder / "cgroup.procs")
    if processes is None:
        return None
    microseconds = _value(_text(folder / "cpu.stat"), "usage_usec")
    io = _content(folder / "io.stat")
    told = (
        {}
        if io is None
        else {"read_bytes": str(_sum_of(io, "rbytes=")), "written_bytes": str(_sum_of(io, "wbytes="))}
    )
    return told | {
        "processes": processes,
        "cpu_ns": f"{microseconds}000" if microseconds else "",
        "ram_bytes": _text(folder / "memory.current").strip(),
        "droppable_bytes": _value(_text(folder / "memory.stat"), "inactive_file"),
        "ram_limit_bytes": _text(folder / "memory.max").strip(),
        "pids": _text(folder / "pids.current").strip(),
    }


def _process_cpu_ns(processes: tuple[int, ...], proc: Path) -> int | None:
    """Return the CPU time of the processes and of the children they have waited for; less exact than a group's own."""
    ticks: int | None = None
    for pid in processes[:PROCESSES_MAX]:
        fields = _text(proc / str(pid) / "stat").rpartition(")")[2].split()
        if len(fields) > 14:
            ticks = (ticks or 0) + sum(int(field) for field in fields[11:15])
    return None if ticks is None else ticks * 1_000_000_000 // TICKS_PER_S


def _process_io(processes: tuple[int, ...], proc: Path) -> tuple[int | None, int | None]:
    """Return what the processes, and the children they have waited for, have read from and written to disks."""
    if len(processes) > PROCESSES_MAX:
        return None, None
    read: int | None = None
    written: int | None = None
    for pid in processes:
        text = _text(proc / str(pid) / "io")
        if text:
            read = (read or 0) + int(_value(text, "read_bytes:") or 0)
            written = (written or 0) + int(_value(text, "write_bytes:") or 0)
    return read, written


def _larger(
    one: tuple[int | None, int | None], other: tuple[int | None, int | None]
) -> tuple[int | None, int | None]:
    def larger(a: int | None, b: int | None) -> int | None:
        return max((value for value in (a, b) if value is not None), default=None)

    return larger(one[0], other[0]), larger(one[1], other[1])


def _value(text: str, name: str) -> str:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return value.strip()
    return ""


def _sum_of(text: str, mark: str) -> int:
    """Add up the numbers that follow `mark`, one a device."""
    total = 0
    for line in text.splitlines():
        _, found, rest = line.partition(mark)
        if found:
            total += int(rest.split()[0])
    return total


def _text(path: Path) -> str:
    return _content(path) or ""


def _content(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:  # gone, or not ours to read
        return None

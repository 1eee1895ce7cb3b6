"""Control groups of sandboxes, versions 1 and 2: memory, number of processes, CPU.

One group a node (`dms-<hash>`), in it one group a sandbox. As root it lies at the top of each hierarchy; an ordinary
user needs a part of version 2 that was delegated to them (systemd does that for user services and scopes).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workers.executors.groups import mounts
from workers.executors.process.shim import kill_all

CPU_PERIOD_US: Final = 100_000
CONTROLLERS: Final = ("memory", "pids", "cpu")
COUNTERS: Final = ("cpuacct", "blkio")
REMOVAL_S: Final = 5.0
HINT: Final = (
    "run the worker as root, or give it a delegated part of cgroup version 2: "
    "systemd-run --user --scope -p Delegate=yes ./dms up"
)


class GroupsLacking(Exception):
    """No memory or process limit can be set here; the message says why."""


@dataclass(frozen=True, slots=True)
class Group:
    """The control groups of one sandbox: `folders` by controller, and the files that its shim reads."""

    folders: tuple[Path, ...]
    memory: Path
    pids: Path
    unified: bool
    cpu_limited: bool

    @property
    def join(self) -> list[str]:
        """Return the files that a process writes itself into."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    @property
    def files(self) -> dict[str, str]:
        """Return the files with the processes, the out-of-memory kills and the refused forks."""
        return {
            "procs": str(self.memory / "cgroup.procs"),
            "oom_events": str(self.memory / ("memory.events" if self.unified else "memory.oom_control")),
            "pids_events": str(self.pids / "pids.events"),
        }


def remove(folders: list[str] | tuple[Path, ...]) -> None:
    """Kill what is left in the groups and remove them, and the node's own group after its last sandbox."""
    deadline = time.monotonic() + REMOVAL_S
    for folder in map(Path, folders):
        kill_all(str(folder / "cgroup.procs"))
        while True:
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError as error:
                # A process that has just been killed still counts for an instant.
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                break
        with contextlib.suppress(OSError):  # another sandbox is in it, or it was delegated to us
            folder.parent.rmdir()


class Groups:
    """Makes the groups of one node's sandboxes."""

    def __init__(self, node_hash: str) -> None:
        self.name = f"dms-{node_hash}"

    def create(self, execution: str, *, ram_bytes: int, pids: int, cpu_centicores: int) -> Group:
        """Make the groups of an execution with their limits; GroupsLacking when that cannot be."""
        try:
            try:
                return self._create(execution, ram_bytes, pids, cpu_centicores)
            except FileNotFoundError:
                # The node's group went with its last sandbox at this very moment.
                return self._create(execution, ram_bytes, pids, cpu_centicores)
        except OSError as error:
            detail = f"the control group cannot be made: {error.filename}: {error.strerror}"
            raise GroupsLacking(detail) from None

    def _create(self, execution: str, ram_bytes: int, pids: int, cpu_centicores: int) -> Group:
        where = mounts()
        if "memory" in where.legacy and "pids" in where.legacy:
            return self._create_legacy(where.legacy, execution, ram_bytes, pids, cpu_centicores)
        if where.unified:
            return self._create_unified(where.unified, execution, ram_bytes, pids, cpu_centicores)
        raise GroupsLacking("the kernel offers no control groups for memory and processes")

    def _create_legacy(
        self, places: Mapping[str, Path], execution: str, ram_bytes: int, pids: int, cpu_centicores: int
    ) -> Group:
        folders = {name: places[name] / self.name / execution for name in CONTROLLERS if name in places}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        for name in COUNTERS:
            # Nothing is limited by these: where they were not delegated, its use is told less exactly.
            with contextlib.suppress(OSError):
                if name in places:
                    counting = places[name] / self.name / execution
                    counting.mkdir(parents=True, exist_ok=True)
                    folders[name] = counting
        _write(folders["memory"] / "memory.limit_in_bytes", ram_bytes)
        swap = folders["memory"] / "memory.memsw.limit_in_bytes"
        if swap.exists():
            _write(swap, ram_bytes)
        _write(folders["pids"] / "pids.max", pids)
        if "cpu" in folders:
            _write(folders["cpu"] / "cpu.cfs_period_us", CPU_PERIOD_US)
            _write(folders["cpu"] / "cpu.cfs_quota_us", _quota(cpu_centicores))
        return Group(
            folders=tuple(dict.fromkeys(folders.values())),
            memory=folders["memory"],
            pids=folders["pids"],
            unified=False,
            cpu_limited="cpu" in folders,
        )

    def _create_unified(
        self, mount: Path, execution: str, ram_bytes: int, pids: int, cpu_centicores: int
    ) -> Group:
        parent = self._unified_parent(mount)
        folder = parent / execution
        folder.mkdir(exist_ok=True)
        _write(folder / "memory.max", ram_bytes)
        if (folder / "memory.swap.max").exists():
            _write(folder / "memory.swap.max", 0)
        if (folder / "memory.oom.group").exists():
            _write(folder / "memory.oom.group", 1)
        _write(folder / "pids.max", pids)
        limited = (folder / "cpu.max").exists()
        if limited:
            _write(folder / "cpu.max", f"{_quota(cpu_centicores)} {CPU_PERIOD_US}")
        return Group(folders=(folder,), memory=folder, pids=folder, unified=True, cpu_limited=limited)

    def _unified_parent(self, mount: Path) -> Path:
        """Return the node's group, in the highest place where it can be made and can limit."""
        own = mount / _own_group().lstrip("/")
        places = [place for place in (*reversed(own.parents), own) if place.is_relative_to(mount)]
        refused = "no part of it is delegated to this user"
        for place in places:
            try:
                _enable(place)
                folder = place / self.name
                folder.mkdir(exist_ok=True)
                _enable(folder)
            except OSError as error:
                if os.access(place, os.W_OK):
                    refused = f"{error.filename}: {error.strerror}"
                continue
            return folder
        raise GroupsLacking(f"cgroup version 2 cannot be used: {refused}")


def _enable(folder: Path) -> None:
    """Let the children of a group limit memory and processes, and CPU (and count the disk) where that can be."""
    enabled = (folder / "cgroup.subtree_control").read_text().split()
    for controller in ("memory", "pids"):
        if controller not in enabled:
            _write(folder / "cgroup.subtree_control", f"+{controller}")
    offered = (folder / "cgroup.controllers").read_text().split()
    for controller in ("cpu", "io"):
        if controller not in enabled and controller in offered:
            _write(folder / "cgroup.subtree_control", f"+{controller}")


def _quota(cpu_centicores: int) -> int:
    return max(1_000, cpu_centicores * CPU_PERIOD_US // 100)


def _write(path: Path, value: int | str) -> None:
    try:
        path.write_text(str(value))
    except OSError as error:
        # The error of a write names no file.
        raise OSError(error.errno, error.strerror, str(path)) from None


def _own_group() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"

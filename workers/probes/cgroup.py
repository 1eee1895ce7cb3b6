"""Limits a cgroup puts on this process: a container is as large as its limits, not as its machine."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc/self/cgroup")
UNLIMITED = 1 << 60  # version 1 writes a number near 2^63 where there is no limit


def cpu_limit_centicores(root: Path = ROOT, proc: Path = PROC) -> int | None:
    """Return the CPU quota in centicores, None without one."""
    limits = []
    for folder in _folders("cpu", root, proc):
        if text := _text(folder / "cpu.max"):
            quota, _, period = text.partition(" ")
        else:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0:
            limits.append(int(quota) * 100 // int(period))
    return min(limits, default=None)


def memory_limit_bytes(root: Path = ROOT, proc: Path = PROC) -> int | None:
    """Return the memory limit in bytes, None without one."""
    limits = [int(text) for folder, text in _memory(root, proc) if text.isdigit() and int(text) < UNLIMITED]
    return min(limits, default=None)


def memory_used_bytes(root: Path = ROOT, proc: Path = PROC) -> int | None:
    """Return what the group with the lowest limit uses, without what the kernel can drop; None without a limit."""
    limited = [(int(text), folder) for folder, text in _memory(root, proc) if text.isdigit()]
    limited = [pair for pair in limited if pair[0] < UNLIMITED]
    if not limited:
        return None
    folder = min(limited)[1]
    used = _text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes")
    stat = dict(line.split(maxsplit=1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    cache = int(stat.get("inactive_file", stat.get("total_inactive_file", "0")))
    return max(0, int(used) - cache) if used.isdigit() else None


def _memory(root: Path, proc: Path) -> list[tuple[Path, str]]:
    return [
        (folder, _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes"))
        for folder in _folders("memory", root, proc)
    ]


def _folders(controller: str, root: Path, proc: Path) -> list[Path]:
    """Return this process's group and all above it, for version 2 and version 1 hierarchies."""
    folders: list[Path] = []
    for line in _text(proc).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            base = root
        elif controller in controllers.split(","):
            base = root / controller
        else:
            continue
        group = base / path.lstrip("/")
        folders += [group, *(parent for parent in group.parents if parent.is_relative_to(base))]
    return folders


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""

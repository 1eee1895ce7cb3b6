"""What sandboxes use, from their control groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from workers.executors import groups
from workers.executors.base import Stats
from workers.executors.disks import Disks
from workers.executors.process.shim import processes
from workers.executors.process.state import Folder


def read(root: Path, names: Iterable[str], disks: Disks) -> dict[str, Stats]:
    """Return what each running sandbox of `names` uses; a sandbox has no network but its own loopback."""
    where = groups.mounts()
    found = {}
    for name in names:
        procs = str(Folder.of(root, name).request.get("groups", {}).get("procs", ""))
        for pid in processes(procs)[:1]:
            folders = groups.folders_of(pid, name, where)
            told = groups.stats(folders) if folders else None
            if told is not None:
                found[name] = replace(told, rx_bytes=0, tx_bytes=0, disk_used_bytes=disks.last(name))
    return found

"""What an execution has written: its own layer, and its owner's volumes that it may write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.volumes import used_bytes


def written_bytes(document: Mapping[str, Any], volumes: Path) -> int:
    """Return the bytes of an inspection made with sizes; writable mounts below `volumes` count too.

    Without them the disk limit could be passed by writing into a volume.
    """
    total = int(document.get("SizeRw") or 0)
    for mount in document.get("Mounts") or ():
        source = Path(str(mount.get("Source", "")))
        if mount.get("RW") and source.is_relative_to(volumes):
            total += used_bytes(source)
    return total

"""What an execution has written: its own layer, its image's volumes, its owner's volumes that it may write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.volumes import used_bytes


def written_bytes(document: Mapping[str, Any], volumes: Path) -> int:
    """Return the bytes of an inspection made with sizes; what else it can write to the disk counts too.

    That is writable mounts below `volumes`, and volumes that the image declares: without them the disk limit
    could be passed. The engine's own volumes can be measured only by a process that may read them (root).
    """
    total = int(document.get("SizeRw") or 0)
    for mount in document.get("Mounts") or ():
        source = Path(str(mount.get("Source", "")))
        declared = mount.get("Type") == "volume" and source.is_absolute()
        if mount.get("RW") and (declared or source.is_relative_to(volumes)):
            total += used_bytes(source)
    return total

"""Logs of processes stay bounded: `name.log` and one older `name.log.1`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from node.logger.lines import plain


def rotate(log: Path, max_bytes: int) -> bool:
    """Move the content to `.1` and empty the file once it is larger; True when that happened.

    The writer keeps its descriptor, opened for appending: so the content is copied and the file truncated.
    """
    try:
        if log.stat().st_size <= max_bytes:
            return False
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
    except FileNotFoundError:
        return False
    return True


def last_line(log: Path) -> str:
    """Return the last line that says something, for a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            lines = [
                line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()
            ]
    except OSError:
        return ""
    return plain(lines[-1]) if lines else ""

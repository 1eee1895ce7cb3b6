"""What is known of a site's processes, on disk: the lock, run/{site,processes,last}.json.

The lock (flock on run/supervisor.lock) is the truth: whoever holds it runs the site. The files only describe.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from pathlib import Path
from typing import IO, Any

from dmsweb.home import Home


def write_json(path: Path, document: Any) -> None:
    """Replace `path` by the document, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the document, or an empty one when there is none or it is damaged."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def take_lock(home: Home) -> IO[str] | None:
    """Return the held lock, with our pid written in it, or None when somebody else holds it."""
    path = home.path("run", "supervisor.lock")
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def running_pid(home: Home) -> int | None:
    """Return the pid of the supervisor that holds the lock, or None: the site is down.

    PermissionError when the home belongs to somebody else: then nobody here can say whether it runs.
    """
    try:
        file = home.path("run", "supervisor.lock").open("r+")
    except PermissionError:
        raise
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read().strip()
            return int(text) if text.isdigit() else -1
    return None


def start_ticks(pid: int) -> int | None:
    """Return when a process started (clock ticks since boot): with the pid, its identity."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def pss_bytes(pid: int) -> int:
    """Return the process' share of memory, 0 when it cannot be read."""
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open() as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def end_leftovers(home: Home) -> list[int]:
    """Kill what a supervisor that is gone left, told from strangers by pid and start time; return the pids."""
    ended = []
    for entry in read_json(home.path("run", "processes.json")).get("processes", []):
        pid, ticks = entry.get("pid"), entry.get("start_ticks")
        if pid and ticks and start_ticks(pid) == ticks:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
                ended.append(pid)
    return ended

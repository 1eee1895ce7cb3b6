"""The processes of a session, as the kernel counts them: what a terminal has started and what hangs on it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

SIGNALS = ("HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "USR2")
HANG_UP_S = 1.0
_PAUSE_S = 0.02


def signal_of(name: str) -> signal.Signals:
    """Return the signal of that name; ValueError for one that is not sent."""
    if name not in SIGNALS:
        raise ValueError(f"signal {name!r} is not one of {', '.join(SIGNALS)}")
    return signal.Signals[f"SIG{name}"]


def members(leader: int) -> list[int]:
    """Return the processes of the session that `leader` leads or led, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _session(int(entry.name)) == leader:
            found.append(int(entry.name))
    return found


def _session(pid: int) -> int:
    """Return the session of a process; 0 when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[3])


def send(leader: int, number: int) -> bool:
    """Send a signal to every process of the session; False when none is left. PermissionError when it may not."""
    sent = False
    for pid in members(leader):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            # Looked at again behind the handle: the number may belong to somebody else by now.
            if _session(pid) == leader:
                signal.pidfd_send_signal(handle, number)
                sent = True
        except ProcessLookupError:
            continue
        finally:
            os.close(handle)
    return sent


def end(leader: int, within_s: float = 5.0) -> bool:
    """Hang up, and kill what is still there after `HANG_UP_S`; False when something stays."""
    deadline = time.monotonic() + within_s
    if not send(leader, signal.SIGHUP):
        return True
    hung_up = time.monotonic() + HANG_UP_S
    while members(leader):
        now = time.monotonic()
        if now > deadline:
            return False
        if now > hung_up:
            send(leader, signal.SIGKILL)
        time.sleep(_PAUSE_S)
    return True

"""One write at a time, fairly, over all threads and processes that share a SQLite file.

SQLite's own waiting is by chance: a process whose threads write without pause leaves another one to a few
writes a second. Here a writer queues twice: first among the threads of its process, first come first
served, then among processes with two flock files. `.turn` is held while waiting for `.gate` and no longer, so
that whoever waits is next, and a process that has just written cannot come in before it.

Both locks end with the process that holds them: a killed writer blocks nobody.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from typing import Final

# Between two looks at a lock another process holds: grows from the first to the last.
PAUSE_FIRST_S: Final = 0.0001
PAUSE_LAST_S: Final = 0.001


class GateTimeout(Exception):
    """The gate did not open in time."""


class Turnstile:
    """A lock that threads get in the order in which they asked for it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` for one's turn; say whether it came."""
        with self._mutex:
            if not self._busy:
                self._busy = True
                return True
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        if ticket.acquire(timeout=timeout_s):
            return True
        with self._mutex:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                return False
        return True  # the turn came between the time-out and the look

    def release(self) -> None:
        """Hand over to the one who has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._busy = False


class Gate:
    """The gate of one database file. `path` is the file; the locks lie next to it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._forget()

    def _forget(self) -> None:
        """Start afresh, as after a fork: locks taken by the parent are the parent's."""
        self._threads = Turnstile()
        self._gate_fd = -1
        self._turn_fd = -1

    def acquire(self, timeout_s: float) -> None:
        """Take the gate; `GateTimeout` when that takes longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        if not self._threads.acquire(timeout_s):
            raise GateTimeout(f"{self.path}: other threads have been writing for {timeout_s:g} s")
        try:
            if self._gate_fd < 0:
                self._turn_fd = _open(f"{self.path}.turn")
                self._gate_fd = _open(f"{self.path}.gate")
            _flock(self._turn_fd, deadline, f"{self.path}: other processes queue for {timeout_s:g} s")
            try:
                _flock(self._gate_fd, deadline, f"{self.path}: another process writes for {timeout_s:g} s")
            finally:
                fcntl.flock(self._turn_fd, fcntl.LOCK_UN)
        except BaseException:
            self._threads.release()
            raise

    def release(self) -> None:
        """Give the gate back."""
        fcntl.flock(self._gate_fd, fcntl.LOCK_UN)
        self._threads.release()

    def close_inherited(self) -> None:
        """In a forked child: let go of the parent's open files without unlocking them, and start afresh."""
        for descriptor in (self._gate_fd, self._turn_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._forget()


_GATES: dict[str, Gate] = {}
_mutex = threading.Lock()


def gate_of(path: str) -> Gate:
    """Return the one gate of this process for the database file `path`."""
    real = os.path.realpath(path)
    with _mutex:
        return _GATES.setdefault(real, Gate(real))


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _flock(descriptor: int, deadline: float, late: str) -> None:
    # flock has no time-out of its own, so it is asked again and again; only one thread a process does.
    pause = PAUSE_FIRST_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise GateTimeout(late) from None
            time.sleep(pause)
            pause = min(PAUSE_LAST_S, pause * 2)
        else:
            return


def _after_fork() -> None:
    global _mutex
    _mutex = threading.Lock()
    for gate in _GATES.values():
        gate.close_inherited()


os.register_at_fork(after_in_child=_after_fork)

"""One supervised process: started in its own group, restarted with back-off, stopped with TERM and then KILL.

States: waiting (not started yet), starting (runs, not ready), running, restarting (died, waits for its turn),
stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capabilities.numbers import NUMBERS
from dmsweb.launch.table import start_ticks

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a process is started; `wants_keys`: the unlocked keys come through a pipe (DMS_KEYS_FD)."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    wants_keys: bool = False
    descriptors: tuple[int, ...] = ()


@dataclass(slots=True)
class Child:
    """A supervised process and its history. Times are of the monotonic clock, in seconds."""

    recipe: Recipe
    state: str = "waiting"
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    next_start_at: float = 0.0
    backoff_s: float = field(default_factory=lambda: NUMBERS.restart_backoff_s)
    last_exit: int | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the live process."""
        return self.process.pid if self.process else None

    def start(self, now: float, keys: Mapping[str, str]) -> None:
        """Start the process, its output appended to its log."""
        environment = {**os.environ, **self.recipe.environment}
        descriptors = list(self.recipe.descriptors)
        reader = None
        if self.recipe.wants_keys:
            reader = _pipe_with(json.dumps(dict(keys)).encode())
            descriptors.append(reader)
            environment["DMS_KEYS_FD"] = str(reader)
        supervisor = os.getpid()
        with self.recipe.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.recipe.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                process_group=0,
                preexec_fn=lambda: _die_with(supervisor),  # noqa: PLW1509 - the supervisor has one thread
            )
        if reader is not None:
            os.close(reader)
        self.started_at = now
        self.state = "starting"

    def poll(self, now: float) -> bool:
        """Notice a death and plan the restart; True when something changed."""
        if self.process is None:
            return False
        code = self.process.poll()
        if code is None:
            return False
        if now - self.started_at >= NUMBERS.restart_healthy_s:
            self.backoff_s = NUMBERS.restart_backoff_s
        self.kill()  # what is left of its group
        self.process = None
        self.last_exit = code
        self.state = "restarting"
        self.restarts += 1
        self.next_start_at = now + self.backoff_s
        self.backoff_s = min(self.backoff_s * 2, NUMBERS.restart_backoff_max_s)
        return True

    def due(self, now: float) -> bool:
        """Say whether a dead process' turn has come."""
        return self.state == "restarting" and now >= self.next_start_at

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        """End the process' group at once."""
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def gone(self) -> bool:
        """Say whether the process has ended; then it counts as stopped."""
        if self.process and self.process.poll() is None:
            return False
        self.process = None
        self.state = "stopped"
        return True

    def document(self) -> dict[str, Any]:
        """Return the process' line in the process table."""
        return {
            "name": self.recipe.name,
            "pid": self.pid,
            "state": self.state,
            "restarts": self.restarts,
            "start_ticks": start_ticks(self.pid) if self.pid else None,
            "last_exit": self.last_exit,
        }


def _pipe_with(content: bytes) -> int:
    """Return the reading end of a pipe that holds `content` (a pipe holds 64 KiB) and nothing more."""
    reader, writer = os.pipe()
    try:
        os.write(writer, content)
    finally:
        os.close(writer)
    return reader


def _die_with(parent: int) -> None:
    """In the child: be killed when the supervisor dies, also when it died before this line."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def own_parent_death_signal(wanted: Callable[[], bool]) -> None:
    """Have this process asked to stop when its parent dies, when `wanted` says so."""
    if wanted():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

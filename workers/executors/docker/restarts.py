"""Telling an end that came with the engine from the workload's own.

An engine that restarts without `live-restore` ends its containers as a kill would: exit code 137 or 143, no mark of
memory. What handles its SIGTERM ends with a code of its own instead, shortly before the next engine begins: of a
service that is taken for the engine's doing, of a task too unless it says that it is done (0). The engine says nowhere
when it started, so its process is asked: who listens on the engine's socket, and since when.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil

from capabilities.numbers import NUMBERS
from workers.executors.base import Cause, Execution
from workers.executors.docker.engine import Engine

# SIGKILL, and SIGTERM that nothing inside handled.
CODES: Final = frozenset({128 + 9, 128 + 15})
OWN_ENDS: Final = frozenset({Cause.COMPLETED, Cause.EXIT_CODE})
ENGINES: Final = frozenset({"dockerd", "podman"})
PID_FILE: Final = Path("/var/run/docker.pid")


def with_engine(engine: Engine, found: Execution, kind: str) -> tuple[Cause, str] | None:
    """Return `engine_restarted` and a sentence when the container did not outlive a restart of its engine.

    `kind`: service or task, empty when that is not known. None also when it cannot be told: the engine is on another
    machine, or its process is not to be seen.
    """
    if found.exit_code is None or found.started_at is None or found.ended_at is None:
        return None
    killed = found.exit_code in CODES
    if not killed and not (found.cause in OWN_ENDS and (kind == "service" or (kind and found.exit_code))):
        return None
    began = engine_began(engine.address)
    if began is None or not between(began, found.started_at, found.ended_at):
        return None
    if not killed and not asked_to_end(began, booted(), found.ended_at):
        return None
    with engine.errors("asking the engine about itself"):
        if engine.client().info().get("LiveRestoreEnabled"):
            return None
    return Cause.ENGINE_RESTARTED, f"the engine was restarted at {began:%H:%M:%S} UTC and ended it"


def between(began: datetime, started_at: datetime, ended_at: datetime) -> bool:
    """Say whether a container ran before the engine began, and had ended by the time that was done. Pure.

    What an engine that was killed left running is ended by the next one while that starts.
    """
    return started_at < began and ended_at <= began + timedelta(seconds=NUMBERS.docker_restart_s)


def asked_to_end(began: datetime, booted: datetime, ended_at: datetime) -> bool:
    """Say whether a container that had ended before the engine began ended so shortly before that an engine on its
    way out asked it to; longer before when the machine was restarted in between. Pure.
    """
    within = NUMBERS.docker_reboot_s if ended_at < booted <= began else NUMBERS.docker_stop_s
    return ended_at >= began - timedelta(seconds=within)


def booted() -> datetime:
    """Return when this machine was started."""
    return datetime.fromtimestamp(psutil.boot_time(), UTC)


def engine_began(address: str) -> datetime | None:
    """Return since when the engine behind a unix socket runs, None when its process cannot be seen."""
    if not address.startswith("unix://"):
        return None
    pid = _listener(address.removeprefix("unix://"))
    try:
        process = psutil.Process(pid)
        if process.name() not in ENGINES:
            # With socket activation the service manager listens; then the engine's own file names it.
            process = psutil.Process(int(PID_FILE.read_text()))
        return datetime.fromtimestamp(process.create_time(), UTC)
    except (psutil.Error, OSError, ValueError):
        return None


def _listener(path: str) -> int:
    """Return the pid of the process that listens on a unix socket; 0 when it is not to be seen from here."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(NUMBERS.docker_probe_timeout_s)
        client.connect(path)
        size = struct.calcsize("3i")
        pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return int(pid)
    return 0

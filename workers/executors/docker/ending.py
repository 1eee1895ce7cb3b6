"""From the engine's document of a container to what is known of the execution. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workers.executors.base import LABEL, Cause, Execution, State

KILLED_CODE = 128 + signal.SIGKILL
NOT_STARTED_CODES = (126, 127)
STATES = {
    "created": State.STARTING,
    "running": State.RUNNING,
    "paused": State.RUNNING,
    "restarting": State.RUNNING,
    "removing": State.EXITED,
    "exited": State.EXITED,
    "dead": State.EXITED,
}


def moment(text: str) -> datetime | None:
    """Return the engine's time stamp (nanoseconds) as a time, None for its zero."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if match is None or text.startswith("0001"):
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(f"{match[1]}{(match[2] or '.0')[:7]:0<7}{zone}").astimezone(UTC)


def address(document: Mapping[str, Any]) -> str:
    """Return the first address in the container's networks; the same member in lists and inspections."""
    networks = (document.get("NetworkSettings") or {}).get("Networks") or {}
    return next((str(net["IPAddress"]) for net in networks.values() if net.get("IPAddress")), "")


def kind(document: Mapping[str, Any]) -> str:
    """Return whether a container is of a service or of a task; empty for one of an earlier release."""
    marks = (document.get("Config") or {}).get("Labels") or {}
    return str(marks.get(f"{LABEL}.type", ""))


def execution(
    document: Mapping[str, Any],
    *,
    remembered: tuple[Cause, str] | None = None,
    ran_out_of_memory: bool = False,
) -> Execution:
    """Return the execution of an inspected container.

    `remembered` is why we ended it ourselves; `ran_out_of_memory` what the engine's events say beyond the flag.
    """
    found = document.get("State") or {}
    marks = (document.get("Config") or {}).get("Labels") or {}
    state = STATES.get(str(found.get("Status", "")), State.EXITED)
    cause, detail, code = None, "", None
    if state is State.EXITED:
        code = int(found.get("ExitCode", 0))
        memory = int((document.get("HostConfig") or {}).get("Memory") or 0)
        cause, detail = remembered or why(
            code,
            oom=bool(found.get("OOMKilled")) or ran_out_of_memory,
            error=str(found.get("Error") or ""),
            memory_bytes=memory,
        )
    started, finished = moment(str(found.get("StartedAt", ""))), moment(str(found.get("FinishedAt", "")))
    if started and finished and finished < started:
        finished = (
            started  # the engine notes the start after the process began, a short one has ended by then
        )
    return Execution(
        execution_id=str(marks.get(f"{LABEL}.execution", "")),
        allocation_id=str(marks.get(f"{LABEL}.allocation", "")),
        deployment_id=str(marks.get(f"{LABEL}.deployment", "")),
        state=state,
        cause=cause,
        exit_code=code,
        detail=detail,
        priv_addr=address(document),
        started_at=started,
        ended_at=finished if state is State.EXITED else None,
    )


def why(code: int, *, oom: bool, error: str, memory_bytes: int) -> tuple[Cause, str]:
    """Return the cause of an end and a sentence.

    The engine's out-of-memory mark means that some process of the container was killed for memory at some
    time; it explains the end only together with the code of SIGKILL.
    """
    if error and code in NOT_STARTED_CODES:
        return Cause.START_FAILED, error
    if code == 0:
        return Cause.COMPLETED, "exit code 0"
    if code == KILLED_CODE and oom:
        return Cause.OOM_KILLED, f"killed for memory: the limit is {memory_bytes} bytes"
    if code == KILLED_CODE:
        return Cause.KILLED, "killed (SIGKILL) by somebody else, or ended with the engine"
    detail = f"exit code {code}"
    if 128 < code < 128 + signal.NSIG:
        detail += f" ({_signal_name(code - 128)})"
    if oom:
        detail += "; one of its processes had been killed for memory"
    return Cause.EXIT_CODE, detail


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

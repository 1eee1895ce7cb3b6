"""How an allocation failed, as a line with numbers and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployments.explain import Line, complete
from node.quantities import show_bytes

LOG = "its log says why: ./dms logs {deployment} {subject}"

# Cause to (what would have been needed, what to do).
CAUSES: Mapping[str, tuple[str, str]] = {
    "exit_code": ("exit code 0", LOG),
    "exited": ("a service goes on until it is stopped", f"make it a task if it is to end; {LOG}"),
    "oom_killed": (
        "more memory than its limit",
        "raise allocations.{name}.resources.ram.size, or let it use less",
    ),
    "disk_limit": (
        "more disk than its limit",
        "raise allocations.{name}.resources.disk.size, or let it write less",
    ),
    "pids_limit": ("more processes than are allowed", "let it start fewer processes"),
    "killed": ("nobody ends it from outside", "see who sent the signal: the machine's log, or its owner"),
    "unhealthy": (
        "its health check passes",
        "see what the check reports, and its log; a longer start period may help",
    ),
    "max_runtime": (
        "it ends within its max_runtime",
        "raise allocations.{name}.max_runtime, or let it do less",
    ),
    "image_missing": ("an image that exists", "correct the image's name and tag, or push it to the registry"),
    "image_unauthorized": (
        "an image that may be pulled",
        "make the image public, or log the node's engine in",
    ),
    "registry_unreachable": (
        "a registry that answers",
        "look at the node's network, or have the image on the node",
    ),
    "start_failed": (
        "it can be started",
        "correct its command and options; the sentence beside it is the executor's",
    ),
    "confinement": (
        "options that the node's owner allows",
        "leave the option out, or ask the node's owner to allow it",
    ),
    "engine_unreachable": ("an engine that answers", "./dms doctor on the node says what it lacks"),
    "engine_restarted": (
        "the engine goes on",
        "deploy it again, or let it restart by itself (failure_recovery)",
    ),
    "gone": ("it goes on until it is stopped", "something removed it from the machine; deploy it again"),
}
MORE = ("it goes on as it should", LOG)
LIMITS = {"oom_killed": "ram", "disk_limit": "disk"}


def failure_line(
    *,
    subject: str,
    peer: str,
    deployment: str,
    cause: str,
    detail: str = "",
    exit_code: int | None = None,
    spec: Mapping[str, Any] | None = None,
) -> Line:
    """Return the failure of an allocation as a reason with every member."""
    needed, hint = CAUSES.get(cause, MORE)
    names = {"deployment": deployment[:8], "subject": subject, "name": subject.rpartition(".")[2]}
    return complete(
        {
            "subject": subject,
            "peer": peer,
            "check": cause or "failed",
            "message": detail or cause or "failed",
            "needed": needed,
            "available": _available(cause, exit_code, spec or {}),
            "hint": hint.format_map(names),
        }
    )


def _available(cause: str, exit_code: int | None, spec: Mapping[str, Any]) -> str:
    if cause in LIMITS:
        size = int(spec.get("resources", {}).get(LIMITS[cause], {}).get("size") or 0)
        return f"a limit of {show_bytes(size)}" if size else "its limit"
    return f"exit code {exit_code}" if exit_code is not None else (cause or "failed").replace("_", " ")

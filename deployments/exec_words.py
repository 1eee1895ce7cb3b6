"""How a command and its end are written down: for the timeline, the audit log and people. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

SHELL_WORD = "(shell)"
TIMELINE_CHARS = 160
AUDIT_CHARS = 4_000


def printable(command: Sequence[str], limit: int = TIMELINE_CHARS) -> str:
    """Return the command on one line, as a shell would take it, without characters that steer a terminal."""
    if not command:
        return SHELL_WORD
    text = shlex.join(command)
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def ending(exit_code: int | None, reason: str, duration_s: float) -> str:
    """Return how a session ended and how long it took."""
    how = f"exit code {exit_code}" if exit_code is not None else "no exit code"
    if reason:
        how = f"{how}, {reason.replace('_', ' ')}"
    return f"{how} after {duration_s:.0f} s" if duration_s >= 10 else f"{how} after {duration_s:.1f} s"

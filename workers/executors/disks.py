"""What the last measurement of each execution's disk said: measuring is slow, telling must not be."""

from __future__ import annotations


class Disks:
    """Bytes by execution; forgotten when an execution is removed. Safe between threads: single operations."""

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}

    def note(self, execution_id: str, used: int) -> int:
        """Remember a measurement and return it."""
        self._bytes[execution_id] = used
        return used

    def last(self, execution_id: str) -> int | None:
        """Return the last measurement, None before the first."""
        return self._bytes.get(execution_id)

    def forget(self, execution_id: str) -> None:
        """Let go of an execution that is gone."""
        self._bytes.pop(execution_id, None)

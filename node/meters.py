"""The one meter: a resource of a node with what is allocated, committed, used by others, and free. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from node.words import cores, gib


@dataclass(frozen=True, slots=True)
class Segment:
    """One coloured part of a meter, in percent of its width."""

    kind: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Meter:
    """A resource in one unit; `exact` carries the numbers as stored, for the hover."""

    label: str
    total: int
    allocated: int
    committed: int
    others: int
    unit: str
    exact: str

    @property
    def free(self) -> int:
        """What a new deployment can still get; never below zero."""
        return max(0, self.total - self.allocated - self.committed - self.others)

    def _show(self, value: int) -> str:
        return cores(value) if self.unit == "cores" else gib(value)

    @property
    def text(self) -> str:
        """The sentence beside the meter, and what a screen reader says."""
        parts = [f"{self._show(self.allocated)} of {self._show(self.total)} {self.unit} allocated"]
        if self.committed:
            parts.append(f"{self._show(self.committed)} committed")
        if self.others:
            parts.append(f"{self._show(self.others)} used by others")
        return " · ".join(parts)

    @property
    def segments(self) -> list[Segment]:
        """The parts from left to right, cut off at the end of the bar."""
        parts: list[Segment] = []
        start = 0.0
        for kind, value in (
            ("allocated", self.allocated),
            ("committed", self.committed),
            ("others", self.others),
        ):
            width = min(100.0 - start, 100.0 * value / self.total) if self.total else 0.0
            if width > 0:
                parts.append(Segment(kind, round(start, 2), round(width, 2)))
                start += width
        return parts

"""One measured number beside its floor, taken in the same run on the same machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """`ours` and `floor` in `unit`, and their ratio. `bar` is held against `ours`, or against `ratio`: `bar_on`."""

    name: str
    ours: float
    floor: float
    unit: str
    bar: float
    passed: bool
    bar_on: str = "ours"

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the floor; 0 where the floor is nothing."""
        return round(self.ours / self.floor, 4) if self.floor else 0.0

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "name": self.name,
            "ours": round(self.ours, 4),
            "floor": round(self.floor, 4),
            "unit": self.unit,
            "ratio": self.ratio,
            "bar": round(self.bar, 4),
            "bar_on": self.bar_on,
            "pass": self.passed,
        }

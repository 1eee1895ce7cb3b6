"""One measured number beside its floor, taken in the same run on the same machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """`ours` and `floor` in `unit`; `ratio` is what is held against `bar`; `passed` says whether it holds."""

    name: str
    ours: float
    floor: float
    unit: str
    ratio: float
    bar: float
    passed: bool

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "name": self.name,
            "ours": self.ours,
            "floor": self.floor,
            "unit": self.unit,
            "ratio": self.ratio,
            "bar": self.bar,
            "pass": self.passed,
        }

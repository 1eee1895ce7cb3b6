"""How long something still counts, as a bar: hours, days and years fit beside each other on a logarithm. Pure."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

WIDTH: Final = 200.0
HOUR_S: Final = 3_600.0
DAY_S: Final = 24 * HOUR_S
LONGEST_S: Final = 2 * 365 * DAY_S
MARKS: Final = (
    ("1 h", HOUR_S),
    ("1 d", DAY_S),
    ("1 w", 7 * DAY_S),
    ("1 mo", 30 * DAY_S),
    ("1 y", 365 * DAY_S),
)


def place(left_s: float) -> float:
    """Return how far along the bar `left_s` seconds are, 0 to `WIDTH`; what lasts longer ends at its end."""
    at = math.log1p(max(0.0, left_s) / HOUR_S) / math.log1p(LONGEST_S / HOUR_S)
    return round(min(1.0, at) * WIDTH, 1)


def left(expires_at: datetime, now: datetime) -> float:
    """Return the length of the bar of what ends at `expires_at`."""
    return place((expires_at - now).total_seconds())


def marks() -> list[tuple[str, float]]:
    """Return the marks of the bar, by name and place."""
    return [(name, place(seconds)) for name, seconds in MARKS]

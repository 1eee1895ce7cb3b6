"""Spans of time and moments as people write them: 7d, 1h30m, 250ms, 2026-01-31T12:00:00Z, 2026-01-31. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from capabilities.refusal import Refusal

UNITS_S = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
TEXT_MAX = 64
HINT = "a time such as 2026-01-31T12:00:00Z, a day such as 2026-01-31, or how long ago: 10m, 1h30m, 7d"


def seconds(text: str) -> float | None:
    """Return how long the span that `text` says is, in seconds; None when it says none."""
    if len(text) > TEXT_MAX or not _WHOLE.fullmatch(text):
        return None
    return sum(float(number) * UNITS_S[unit] for number, unit in _PART.findall(text))


def moment(text: str) -> datetime | None:
    """Return the moment that `text` says (UTC where it names no zone); None when it says none."""
    if len(text) > TEXT_MAX or not text[:4].isdigit():
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def point(name: str, text: str, now: datetime) -> datetime:
    """Return the moment that `text` says, a span meaning that long before `now`; Refusal, naming the member."""
    span = seconds(text)
    try:
        found = now - timedelta(seconds=span) if span is not None else moment(text)
        if found is not None:
            return found.astimezone(UTC)
    except OverflowError:
        pass
    raise Refusal("invalid_request", f"{name}: {text[:TEXT_MAX]!r} is neither a time nor a span", hint=HINT)

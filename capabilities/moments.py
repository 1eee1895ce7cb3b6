"""Nanoseconds since 1970, as envelopes and tokens count, as times. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

NS = 1_000_000_000
# The calendar ends with the year 9999; numbers from elsewhere may not.
LAST_S = 253_402_300_799


def moment_of(ns: int) -> datetime:
    """Return a count of nanoseconds as a time in UTC; what is beyond the calendar as its last second."""
    return datetime.fromtimestamp(min(ns / NS, LAST_S), UTC)

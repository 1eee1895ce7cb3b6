"""Numbers with units: sizes in bytes, clock speeds in hertz, durations in nanoseconds, all exact integers."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

GIB: Final = 1 << 30
GHZ: Final = 10**9
MAX_INTEGER: Final = (1 << 63) - 1

SIZES: Final = {
    "b": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
CLOCKS: Final = {"hz": 1, "khz": 10**3, "mhz": 10**6, "ghz": 10**9}
_DURATIONS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
}

_QUANTITY = re.compile(
    r"\s*([-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,4})?)\s*([A-Za-zµ]*)\s*"
)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d)")
_LONGEST = 64


class UnitFault(ValueError):
    """The text is no quantity; says why."""


def number(text: str) -> Decimal:
    """Return the bare number `text`. Raises UnitFault."""
    value, unit = _split(text)
    if unit:
        raise UnitFault(f"{text.strip()!r} must be a number without a unit")
    return value


def quantity(text: str, units: dict[str, int], default: int) -> int:
    """Return `text` (a number, perhaps with one of `units`) in the base unit, rounded up to a whole one.

    `default` is the factor of a bare number. Raises UnitFault.
    """
    value, unit = _split(text)
    factor = default if not unit else units.get(unit.lower())
    if factor is None:
        names = ", ".join(sorted(units, key=lambda name: units[name]))
        raise UnitFault(f"unknown unit {unit[:20]!r}; known: {names}")
    return whole(value * factor)


def whole(value: Decimal) -> int:
    """Return `value` rounded up to an integer. Raises UnitFault when it exceeds 64 bits."""
    if value.adjusted() > 18 or abs(value) > MAX_INTEGER:
        raise UnitFault("the number is too large")
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def centicores(cores: Decimal) -> int:
    """Return hundredths of a core, rounded up: two decimals are exact."""
    return whole(cores * 100)


def duration_ns(text: str) -> int:
    """Return a duration such as `30s` or `1m30s` in nanoseconds. Raises UnitFault."""
    rest = text.strip()
    total = Decimal(0)
    if not rest or len(rest) > _LONGEST:
        raise UnitFault(f"{rest[:_LONGEST]!r} is not a duration")
    position = 0
    while position < len(rest):
        match = _DURATION.match(rest, position)
        if match is None:
            raise UnitFault(f"{rest!r} is not a duration")
        total += Decimal(match[1]) * _DURATIONS[match[2]]
        position = match.end()
    return whole(total)


def _split(text: str) -> tuple[Decimal, str]:
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise UnitFault(f"{text.strip()[:_LONGEST]!r} must be a valid number")
    value = Decimal(match[1])
    if value and not -30 < value.adjusted() < 30:
        raise UnitFault("the number is too large or too small")
    return value, match[2]

"""Sizes, cores and clock speeds as people and peers write them, read exactly: no float on the way.

Sizes are bytes: GiB when no unit is given; KiB, MiB, GiB, TiB count in 1024, KB, MB, GB, TB in 1000.
Cores are centicores (1.25 cores = 125); clock speeds are hertz, GHz when no unit is given.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Final

GIB: Final = 1 << 30
# A bare number from here on is bytes already, as the reference sends them: nobody has a million GiB, and
# nothing that can be offered is below one MiB.
BARE_BYTES_FROM: Final = 1 << 20
LARGEST: Final = (
    1 << 62
)  # in whatever unit; what does not fit the database's 64 bits is refused by the limits

_SIZES: Final = {
    "": GIB,
    "b": 1,
    **{f"{letter}ib": 1 << (10 * (power + 1)) for power, letter in enumerate("kmgtp")},
    **{f"{letter}b": 1000 ** (power + 1) for power, letter in enumerate("kmgtp")},
}
_CLOCKS: Final = {"": 10**9, "hz": 1, "khz": 10**3, "mhz": 10**6, "ghz": 10**9}
_TEXT: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*([A-Za-z]*)\s*")


def _number(value: object, what: str, units: dict[str, int] | None = None) -> tuple[Decimal, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"{what} must be a number or a text such as {_example(units)}, not {value!r}")
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    number, unit = match.groups() if match else (str(value), "")
    try:
        decimal = Decimal(number)
    except InvalidOperation:
        raise ValueError(f"{what} {value!r} is not a number; write for example {_example(units)}") from None
    if not decimal.is_finite():
        raise ValueError(f"{what} {value!r} is not a finite number")
    if decimal > LARGEST:
        raise ValueError(f"{what} {value!r} is too large")
    if decimal < 0:
        raise ValueError(f"{what} {value!r} is negative")
    if unit and unit.lower() not in (units or {}):
        known = ", ".join(name for name in ("KiB", "MiB", "GiB", "TiB", "KB", "MB", "GB", "TB"))
        known = known if units is _SIZES else "Hz, kHz, MHz, GHz" if units else "none"
        raise ValueError(f"{what} {value!r} has the unknown unit {unit!r}; known: {known}")
    return decimal, unit.lower()


def _example(units: dict[str, int] | None) -> str:
    return '"4GiB"' if units is _SIZES else '"2.4GHz"' if units else "1.5"


def parse_bytes(value: object, what: str = "size") -> int:
    """Return the size in bytes, rounded down; a bare number is GiB (from 2^20 on, bytes)."""
    number, unit = _number(value, what, _SIZES)
    factor = 1 if not unit and number >= BARE_BYTES_FROM else _SIZES[unit]
    return int((number * factor).to_integral_value(ROUND_FLOOR))


def parse_centicores(value: object, what: str = "cores") -> int:
    """Return cores times 100, rounded up to the next hundredth: a demand never gets less than it asks for."""
    number, _ = _number(value, what)
    return int((number * 100).to_integral_value(ROUND_CEILING))


def parse_hertz(value: object, what: str = "clock_speed") -> int:
    """Return the clock speed in hertz; a bare number is GHz below 1000, hertz above."""
    number, unit = _number(value, what, _CLOCKS)
    factor = 1 if not unit and number >= 1000 else _CLOCKS[unit]
    return int((number * factor).to_integral_value(ROUND_FLOOR))


def show_bytes(size: int, *, up: bool = False) -> str:
    """Return a size for people, two decimals at most; rounded down (what there is) or `up` (what is needed)."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1 << (10 * power):
            hundredths = -(-size * 100 >> (10 * power)) if up else size * 100 >> (10 * power)
            return f"{_trim(hundredths)} {unit}"
    return f"{size} B"


def show_cores(centicores: int) -> str:
    """Return cores for people: `1 core`, `0.25 cores`."""
    return f"{_trim(centicores)} {'core' if centicores == 100 else 'cores'}"


def cores_number(centicores: int) -> int | float:
    """Return cores as a JSON number: an integer when whole, else two decimals."""
    whole, rest = divmod(centicores, 100)
    return whole if rest == 0 else float(f"{whole}.{rest:02d}")


def _trim(hundredths: int) -> str:
    whole, rest = divmod(hundredths, 100)
    return str(whole) if rest == 0 else f"{whole}.{rest:02d}".rstrip("0")

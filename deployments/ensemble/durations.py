"""Members that are durations: text such as `30s`, or a bare number of nanoseconds as the reference's JSON has it."""

from __future__ import annotations

from deployments.ensemble import units
from deployments.ensemble.fields import Fields
from deployments.ensemble.tree import Scalar

# A bare number below this many nanoseconds (1 ms) was surely meant in another unit.
_LEAST_BARE_NS = 1_000_000


def read_duration(
    top: Fields, key: str, *, example: str = "30s or 1m30s", zero: bool = False, most_s: float | None = None
) -> int | None:
    """Return a duration in nanoseconds, None when it is missing or wrong. `zero`: it may be 0."""
    node = top.find(key)
    if node is None:
        return None
    hint = f"a duration such as {example}"
    if isinstance(node, Scalar) and isinstance(node.value, str):
        try:
            found = units.duration_ns(node.text)
        except units.UnitFault as fault:
            top.error(key, str(fault), hint)
            return None
        if found <= 0 and not zero:
            top.error(key, f"{key} must be positive", hint)
            return None
    else:
        value = top.number(key)
        if value is None:
            return None
        least = 1 if top.context.canonical else _LEAST_BARE_NS
        if not least <= value <= units.MAX_INTEGER and not (zero and value == 0):
            top.error(key, f"{value} alone means nanoseconds, which is too short or too long", hint)
            return None
        found = int(value)
    if most_s is not None and found > most_s * 1e9:
        top.error(key, f"{key} must be at most {most_s:g}s", hint)
        return None
    return found

"""From samples to figures: rates between counters, and series for charts. Pure.

Counters begin at zero with every attempt: between two attempts, and where either is not known, there is no rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from capabilities.refusal import Refusal

STEPS_S: Final = (10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)
POINTS_WANTED: Final = 360
COUNTERS: Final = {
    "rx_bytes_per_s": "rx_bytes",
    "tx_bytes_per_s": "tx_bytes",
    "read_bytes_per_s": "read_bytes",
    "written_bytes_per_s": "written_bytes",
}
GAUGES: Final = ("ram_used_bytes", "ram_limit_bytes", "disk_used_bytes", "pids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One sample as the arithmetic needs it."""

    at: datetime
    attempt: int = 0
    cpu_ns: int | None = None
    cpu_percent: float | None = None
    ram_used_bytes: int = 0
    ram_limit_bytes: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    disk_used_bytes: int | None = None
    pids: int = 0
    gpus: Sequence[dict[str, Any]] = ()


def cpu_percent(cpu_ns: int | None, before_ns: int | None, span_ns: int) -> float | None:
    """Return the share of one core that was used in `span_ns`, in percent; None when it cannot be told."""
    if cpu_ns is None or before_ns is None or span_ns <= 0 or cpu_ns < before_ns:
        return None
    return round(100 * (cpu_ns - before_ns) / span_ns, 2)


def per_second(before: Point | None, after: Point, counter: str) -> float | None:
    """Return how fast a counter grew between two samples of one attempt; None when it cannot be told."""
    if before is None or before.attempt != after.attempt:
        return None
    first: int | None = getattr(before, counter)
    last: int | None = getattr(after, counter)
    seconds = (after.at - before.at).total_seconds()
    if first is None or last is None or seconds <= 0 or last < first:
        return None
    return round((last - first) / seconds, 1)


def rates(before: Point | None, after: Point) -> dict[str, float | None]:
    """Return CPU (percent of a core) and bytes a second between two samples."""
    cpu = per_second(before, after, "cpu_ns")
    percent = after.cpu_percent if cpu is None else round(cpu / 1e7, 2)
    return {"cpu_percent": percent} | {
        name: per_second(before, after, counter) for name, counter in COUNTERS.items()
    }


def of_granted(percent: float | None, centicores: int) -> float | None:
    """Return a share of one core as a share of the granted cores, in percent."""
    return None if percent is None or centicores <= 0 else round(percent * 100 / centicores, 2)


def step_for(window_s: float) -> int:
    """Return the finest step that gives a chart no more points than it can show, and one for the part of a step."""
    return next((step for step in STEPS_S if window_s / step <= POINTS_WANTED + 1), STEPS_S[-1])


def refuse_too_many(window_s: float, step_s: int, points_max: int) -> None:
    """Refuse a history with more points than an answer may have."""
    points = int(window_s // step_s) + 1
    if points > points_max:
        raise Refusal(
            "invalid_request",
            f"Step: {step_s} s over {window_s:.0f} s are {points} points, at most {points_max} are possible",
            hint=f"give a Step of at least {int(-(-window_s // (points_max - 1)))} s, or a shorter time",
        )


def series(points: Sequence[Point], step_s: int) -> dict[str, list[Any]]:
    """Return the samples of one allocation, oldest first, as columns with at most one value a step.

    The last sample of a step stands for it; its rates are the means since the last sample of the step before.
    """
    chosen: list[Point] = []
    slot = -1
    for point in points:
        now = int(point.at.timestamp()) // step_s
        if chosen and now == slot:
            chosen[-1] = point
        else:
            chosen.append(point)
        slot = now
    columns: dict[str, list[Any]] = {"at": [round(point.at.timestamp(), 3) for point in chosen]}
    moving = [rates(chosen[index - 1] if index else None, point) for index, point in enumerate(chosen)]
    for name in ("cpu_percent", *COUNTERS):
        columns[name] = [values[name] for values in moving]
    for name in GAUGES:
        columns[name] = [getattr(point, name) for point in chosen]
    if any(point.gpus for point in chosen):
        columns["gpus"] = [list(point.gpus) for point in chosen]
    return columns

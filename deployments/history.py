"""What allocations use, read from their samples: the newest figures, and series. A constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db.models import QuerySet

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments.models import Allocation, AllocationSample
from deployments.selectors import allocations_visible_to
from deployments.usage import Point, of_granted, rates, series
from node.resources import Resources

FIELDS = (
    "at", "attempt", "cpu_ns", "cpu_percent", "ram_used_bytes", "ram_limit_bytes", "rx_bytes", "tx_bytes",
    "read_bytes", "written_bytes", "disk_used_bytes", "pids", "gpus",
)  # fmt: skip
# Older figures are history: a worker that is away must not look like one that measures.
CURRENT_TURNS = 3.5


def samples_visible_to(identity: Identity) -> QuerySet[AllocationSample]:
    """Return the samples of the allocations this identity may see."""
    return AllocationSample.objects.filter(allocation__in=allocations_visible_to(identity).values("pk"))


def current(allocations: Iterable[Allocation], now: datetime) -> dict[str, dict[str, Any]]:
    """Return for each allocation, by id, what it uses; the figures are null when it does not run or is not measured."""
    rows = {allocation.pk: allocation for allocation in allocations}
    since = now - timedelta(seconds=NUMBERS.allocation_sample_s * CURRENT_TURNS)
    points: dict[str, list[Point]] = {key: [] for key in rows}
    for key, point in _points(rows, since, now):
        points[key].append(point)
    return {key: _figures(allocation, points[key]) for key, allocation in rows.items()}


def histories(
    allocations: Iterable[Allocation], start: datetime, end: datetime, step_s: int
) -> dict[str, dict[str, Any]]:
    """Return for each allocation, by id, its samples from `start` to `end` in steps; empty columns without any."""
    keys = [allocation.pk for allocation in allocations]
    kept_alone = step_s >= NUMBERS.allocation_samples_step_s
    every_s = NUMBERS.allocation_samples_step_s if kept_alone else NUMBERS.allocation_sample_s
    rows = len(keys) * (end - start).total_seconds() / every_s
    if rows > NUMBERS.stats_rows_max:
        raise Refusal(
            "invalid_request",
            f"{len(keys)} allocations over that time are about {rows:.0f} samples, "
            f"at most {NUMBERS.stats_rows_max} are read at once",
            hint=f"a Step of {NUMBERS.allocation_samples_step_s} s or more, one AllocationName, or a shorter time",
        )
    found: dict[str, dict[str, Any]] = {key: series([], step_s) | {"step_s": step_s} for key in keys}
    points = _points(keys, start, end, kept_alone=kept_alone)
    for key, group in groupby(points, key=lambda pair: pair[0]):
        found[key] = series([point for _, point in group], step_s) | {"step_s": step_s}
    return found


def _points(
    keys: Iterable[str], start: datetime, end: datetime, *, kept_alone: bool = False
) -> Iterable[tuple[str, Point]]:
    rows = AllocationSample.objects.filter(allocation__in=list(keys), at__gte=start, at__lte=end)
    if kept_alone:
        rows = rows.filter(kept=True)
    for key, *values in rows.order_by("allocation_id", "at", "pk").values_list("allocation_id", *FIELDS):
        yield key, Point(**dict(zip(FIELDS, values, strict=True)))


def _figures(allocation: Allocation, points: Sequence[Point]) -> dict[str, Any]:
    granted = Resources.parse(allocation.spec.get("granted") or {})
    running = allocation.status == Allocation.Status.RUNNING
    last = points[-1] if points and running else None
    before = points[-2] if len(points) > 1 else None
    moving = rates(before, last) if last else dict.fromkeys(rates(None, EMPTY))
    if last is not None:
        moving["cpu_percent"] = last.cpu_percent
    return {
        "id": allocation.pk,
        "name": str(allocation),
        "deployment_id": allocation.deployment_id,
        "deployment": allocation.deployment.name,
        "node": allocation.node.name,
        "executor": allocation.executor,
        "status": allocation.status,
        "at": last and last.at.isoformat(),
        **moving,
        "cpu_percent_of_granted": of_granted(moving["cpu_percent"], granted.cpu_centicores),
        "cpu_cores_granted": granted.cpu_centicores / 100,
        "ram_used_bytes": last and last.ram_used_bytes,
        "ram_limit_bytes": (last and last.ram_limit_bytes) or granted.ram_bytes or None,
        **{name: last and getattr(last, name) for name in TOTALS},
        "disk_used_bytes": last and last.disk_used_bytes,
        "disk_limit_bytes": granted.disk_bytes or None,
        "pids": last and last.pids,
        "gpus": list(last.gpus) if last else [],
    }


EMPTY = Point(at=datetime.min)
TOTALS = ("rx_bytes", "tx_bytes", "read_bytes", "written_bytes")

"""What pages show of a node: its meters, and its usage as series."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from node.hardware import HardwareFacts
from node.ledger import LedgerView
from node.meters import Meter
from node.models import Node, UsageSample
from node.resources import Resources
from node.selectors import latest_sample
from node.services.ledger import ledger

CHART_POINTS = 360


def node_meters(node: Node) -> list[Meter]:
    """Return one meter a resource; empty when the node offers nothing."""
    if not hasattr(node, "onboarding"):
        return []
    return meters(ledger(node), HardwareFacts.parse(node.hardware), latest_sample(node))


def meters(view: LedgerView, facts: HardwareFacts, sample: UsageSample | None) -> list[Meter]:
    """Return the meters of a ledger. What others use counts only where it eats into what is offered."""
    offered, allocated, committed = view.onboarded, view.allocated, view.committed
    used = Resources()
    if sample is not None:
        cpu = round(facts.cpu_centicores * min(100.0, max(0.0, sample.cpu_percent)) / 100)
        used = Resources(cpu, sample.ram_used_bytes, sample.disk_used_bytes)

    def reading(label: str, name: str, unit: str) -> Meter:
        total, ours, promised = (getattr(part, name) for part in (offered, allocated, committed))
        beside = max(0, getattr(facts, name) - total)
        others = max(0, getattr(used, name) - ours - beside) if sample is not None else 0
        others = min(others, max(0, total - ours - promised))
        measure = "hundredths of a core" if unit == "cores" else "bytes"
        exact = (
            f"{ours:,} of {total:,} {measure} allocated, {promised:,} committed, {others:,} used by others"
        )
        return Meter(label, total, ours, promised, others, unit, exact)

    return [
        reading("CPU", "cpu_centicores", "cores"),
        reading("Memory", "ram_bytes", "GiB"),
        reading("Disk", "disk_bytes", "GiB"),
        *_gpu_meters(offered, allocated, committed),
    ]


def _gpu_meters(offered: Resources, allocated: Resources, committed: Resources) -> Iterable[Meter]:
    for gpu in offered.gpus:
        ours, promised = (
            sum(share.vram_bytes for share in part.gpus if share.identity == gpu.identity)
            for part in (allocated, committed)
        )
        exact = f"{ours:,} of {gpu.vram_bytes:,} bytes of VRAM allocated, {promised:,} committed"
        yield Meter(f"GPU {gpu.index} · {gpu.model}", gpu.vram_bytes, ours, promised, 0, "GiB", exact)


def series(node: Node, now: datetime, window: timedelta) -> dict[str, Any]:
    """Return CPU, memory and disk of the last `window` in percent, thinned to what a chart can show."""
    facts = HardwareFacts.parse(node.hardware)
    rows = list(
        UsageSample.objects.filter(node=node, at__gte=now - window)
        .order_by("at")
        .values_list("at", "cpu_percent", "ram_used_bytes", "disk_used_bytes")
    )
    rows = rows[:: max(1, -(-len(rows) // CHART_POINTS))]

    def share(used: int, total: int) -> float:
        return round(100 * used / total, 2) if total else 0.0

    return {
        "at": [int(row[0].timestamp()) for row in rows],
        "series": [
            {"name": "CPU", "values": [round(row[1], 2) for row in rows]},
            {"name": "Memory", "values": [share(row[2], facts.ram_bytes) for row in rows]},
            {"name": "Disk", "values": [share(row[3], facts.disk_bytes) for row in rows]},
        ],
    }

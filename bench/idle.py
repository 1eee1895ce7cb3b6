"""An idle site: memory of all its processes (sum of PSS) and the processor time it takes.

The floors are what the parts cost without us: the sum for an empty application in as many processes, and nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from bench.result import Result
from bench.site import BenchSite

SETTLE_S = 15.0
WATCH_S = 30.0
MEMORY_BAR_BYTES = 400e6
PROCESSOR_BAR_PERCENT = 5.0
# An empty Django application: web 89 MB, worker 94 MB; Redis 4 MB.
MEMORY_FLOOR_BYTES = 187e6


def run() -> list[Result]:
    """Bring a site up, let it settle, watch it do nothing."""
    with tempfile.TemporaryDirectory(prefix="dms-bench-") as folder, BenchSite(Path(folder) / "home") as site:
        time.sleep(SETTLE_S)
        status = json.loads(site.cli("status", "--json"))
        pids = [entry["pid"] for entry in status["processes"]]
        before, begun = sum(map(_processor_s, pids)), time.monotonic()
        time.sleep(WATCH_S)
        percent = 100 * (sum(map(_processor_s, pids)) - before) / (time.monotonic() - begun)
        status = json.loads(site.cli("status", "--json"))
    memory = float(sum(entry["pss_bytes"] for entry in status["processes"]))
    memory_ok, processor_ok = memory < MEMORY_BAR_BYTES, percent < PROCESSOR_BAR_PERCENT
    return [
        Result("idle-memory", memory, MEMORY_FLOOR_BYTES, "bytes", MEMORY_BAR_BYTES, memory_ok),
        Result("idle-processor", percent, 0.0, "% of a core", PROCESSOR_BAR_PERCENT, processor_ok),
    ]


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

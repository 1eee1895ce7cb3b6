"""What benchmark tools print, read; and when a machine is to be measured again. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = 1
"""Raised when the way of measuring changes: figures of different versions are not comparable."""

NAMES: Final = {
    "cpu_single": "CPU, one core",
    "cpu_all": "CPU, all cores",
    "memory": "memory bandwidth",
    "disk_write": "disk, writing",
    "disk_read": "disk, reading",
    "disk_latency": "disk, latency",
    "loopback": "network, loopback",
    "gpu_memory": "GPU memory bandwidth",
}
_EVENTS = re.compile(r"events per second:\s*([0-9.]+)")
_MEMORY = re.compile(r"\(\s*([0-9.]+)\s*MiB/sec\)")
_SYSBENCH = re.compile(r"^sysbench ([0-9][\w.]*)", re.M)


class Unreadable(ValueError):
    """The tool printed something else than it used to."""


def figure(value: float, unit: str, method: str) -> dict[str, Any]:
    """Return one result."""
    return {"value": round(value, 3), "unit": unit, "method": method}


def shown(found: Mapping[str, Any]) -> str:
    """Return a result's value with its unit as people read it."""
    if "value" not in found:
        return "-"
    value, unit = float(found["value"]), str(found["unit"])
    if unit == "bytes/s":
        return f"{value / (1 << 30):.2f} GiB/s"
    return f"{value:,.2f} {unit}"


def sysbench_cpu(text: str) -> dict[str, Any]:
    """Return the events per second of `sysbench cpu run`. Raises Unreadable."""
    return figure(_number(_EVENTS, text), "events/s", _sysbench(text))


def sysbench_memory(text: str) -> dict[str, Any]:
    """Return the bytes per second of `sysbench memory run`. Raises Unreadable."""
    return figure(_number(_MEMORY, text) * (1 << 20), "bytes/s", _sysbench(text))


def _sysbench(text: str) -> str:
    found = _SYSBENCH.search(text)
    return f"sysbench {found[1]}" if found else "sysbench"


def _number(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    if found is None:
        raise Unreadable(f"no result in {text[:200]!r}")
    try:
        return float(found[1])
    except ValueError:
        raise Unreadable(f"no number in {text[:200]!r}") from None


def fio(text: str) -> dict[str, dict[str, Any]]:
    """Return disk_write, disk_read and disk_latency of the jobs `write`, `read` and `latency`. Raises Unreadable."""
    try:
        # Warnings may stand before the document.
        document = json.loads(text[text.index("{") :])
        method = str(document.get("fio version", "fio")).replace("fio-", "fio ")
        jobs = {job["jobname"]: job for job in document["jobs"]}
        return {
            "disk_write": figure(float(jobs["write"]["write"]["bw_bytes"]), "bytes/s", method),
            "disk_read": figure(float(jobs["read"]["read"]["bw_bytes"]), "bytes/s", method),
            "disk_latency": figure(float(jobs["latency"]["write"]["clat_ns"]["mean"]) / 1e6, "ms", method),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Unreadable(f"no result of fio: {fault}") from None


def gpu_copies(text: str) -> dict[str, Any]:
    """Return the bandwidth by what `workers.probes.gpu_copies` printed: a byte copied is read and written.

    Raises Unreadable.
    """
    try:
        done = json.loads(text)
        size, count, seconds = int(done["size_bytes"]), int(done["copies"]), float(done["seconds"])
        moved = 2 * size * count / seconds
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as fault:
        raise Unreadable(f"no result of copies in the GPU's memory: {fault!r}") from None
    return figure(
        moved,
        "bytes/s",
        f"built-in (CUDA driver): copies of {size >> 20} MiB within the GPU's memory, read and written",
    )


def nominal_gpu_bandwidth(clock_mhz: int, bus_bits: int) -> dict[str, Any]:
    """Return what a GPU's memory clock and bus allow: two transfers a clock. Not measured, and named so."""
    return figure(clock_mhz * 1e6 * 2 * bus_bits / 8, "bytes/s", "nominal (NVML: clock and bus width)")


def hardware_hash(facts: Mapping[str, Any]) -> str:
    """Return a fingerprint of what the figures depend on: names and moments do not count."""
    kept = {key: facts.get(key) for key in ("cpu", "ram", "disk", "gpus")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()

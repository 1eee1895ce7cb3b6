"""What the CPU is: model, vendor, architecture, cache, clock, and the cores this process may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from node.resources import CpuTraits, architecture_name
from workers.probes import cgroup

_MODEL_KEYS = ("model name", "Processor", "cpu model", "Hardware")
_VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "0x41": "ARM", "0x61": "Apple"}


def usable_centicores() -> int:
    """Return the cores this process may use: those it may be scheduled on, less what a quota takes."""
    online = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    limit = cgroup.cpu_limit_centicores()
    return min(online * 100, limit) if limit else online * 100


def traits(
    cpuinfo: Path = Path("/proc/cpuinfo"), devices: Path = Path("/sys/devices/system/cpu")
) -> CpuTraits:
    """Return what is known of the CPU; what is not stays empty."""
    info = _cpuinfo(cpuinfo)
    model = next((info[key] for key in _MODEL_KEYS if info.get(key)), platform.processor())
    vendor = info.get("vendor_id") or info.get("CPU implementer", "")
    return CpuTraits(
        architectures=frozenset({architecture_name(platform.machine())}),
        vendors=frozenset({_VENDORS.get(vendor, vendor)}) if vendor else frozenset(),
        models=frozenset({model}) if model else frozenset(),
        clock_hz=_clock_hz(info),
        threads=psutil.cpu_count(logical=True) or 0,
        cache_bytes=_cache_bytes(info, devices),
    )


def _cpuinfo(path: Path) -> dict[str, str]:
    """Return the first processor's lines."""
    try:
        first = path.read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if value.strip()}


def _clock_hz(info: dict[str, str]) -> int:
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):  # psutil on machines without cpufreq
        frequency = None
    if frequency is not None and (frequency.max or frequency.current):
        return round((frequency.max or frequency.current) * 1_000_000)
    megahertz = info.get("cpu MHz", "")
    return round(float(megahertz) * 1_000_000) if megahertz else 0


def _cache_bytes(info: dict[str, str], devices: Path) -> int:
    """Return the size of the largest cache of the first core."""
    sizes = []
    for size in devices.glob("cpu0/cache/index*/size"):
        text = size.read_text().strip()
        factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
        digits = text.rstrip("KM")
        sizes.append(int(digits) * factor if digits.isdigit() else 0)
    if sizes:
        return max(sizes)
    kilobytes = info.get("cache size", "").split(" ")[0]
    return int(kilobytes) << 10 if kilobytes.isdigit() else 0

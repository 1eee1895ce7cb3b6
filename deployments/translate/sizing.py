"""CPU, memory and GPUs of a service; the disk, of which compose says nothing, and what else it leaves open."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from deployments.ensemble.tree import Mapping, Scalar
from deployments.translate.notes import Part, words

CPU_CORES: Final = "0.25"
RAM: Final = "256MiB"
DISK: Final = "1GiB"
MAX_GPUS: Final = 64
_BYTES = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgtKMGT]?)(?:[iI]?[bB])?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_VENDORS = {"nvidia": "NVIDIA", "amd": "AMD"}


@dataclass(slots=True)
class Sizing:
    """The resources as the ensemble has them; `assumed` names the parts that the file left open."""

    cores: str = CPU_CORES
    ram: str = RAM
    disk: str = DISK
    gpus: list[dict[str, Any]] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)


def read_sizing(service: Part, deploy: Part | None) -> Sizing:
    """Return what the service needs: limits, else reservations, else the older keys, else stated defaults."""
    resources = deploy.part("resources") if deploy else None
    limits = resources.part("limits") if resources else None
    reserved = resources.part("reservations") if resources else None
    found = Sizing()
    cores = _first(
        (limits, "cpus", _cores),
        (service, "cpus", _cores),
        (reserved, "cpus", _cores),
        (service, "cpu_count", _cores),
    )
    ram = _first(
        (limits, "memory", _size),
        (service, "mem_limit", _size),
        (reserved, "memory", _size),
        (service, "mem_reservation", _size),
    )
    found.cores = cores or found.cores
    found.ram = ram or found.ram
    found.assumed = [*([] if cores else ["cpu"]), *([] if ram else ["ram"]), "disk"]
    if reserved is not None:
        _devices(reserved, found)
    _gpus_key(service, found)
    for part in (limits, reserved, resources):
        if part is not None:
            part.rest()
    return found


def _first(*places: tuple[Part | None, str, Any]) -> str:
    """Return the first that says something; the later ones are said to be lost when they say something else."""
    chosen = ""
    for part, key, read in places:
        if part is None:
            continue
        text = part.text(key)
        if not text:
            continue
        value = read(text)
        if value is None:
            part.lost(key, f"{text[:40]!r} is no amount that can be had", "such as 0.5 or 512M")
        elif not chosen:
            chosen = value
        elif value != chosen:
            part.lost(key, f"{text[:40]}: the limit is what is reserved")
    return chosen


def _cores(text: str) -> str | None:
    try:
        value = Decimal(text[:30])
    except InvalidOperation:
        return None
    if not value.is_finite() or not 0 < value < 100_000:
        return None
    # Hundredths of a core count; a part of one counts as a whole one.
    rounded = max(value.quantize(Decimal("0.01"), rounding="ROUND_CEILING"), Decimal("0.01"))
    return f"{rounded.normalize():f}"


def _size(text: str) -> str | None:
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        return None
    amount = int(Decimal(match[1]) * 1024 ** _POWERS[match[2].lower()])
    if not 0 < amount < 1 << 60:
        return None
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if amount % factor == 0:
            return f"{amount // factor}{unit}"
    return f"{amount}B"


def _devices(reserved: Part, found: Sizing) -> None:
    for path, item in reserved.rows("devices"):
        device = Part(reserved.notes, path, item) if isinstance(item, Mapping) else None
        if device is None:
            reserved.notes.lost(path, item.mark, "no device that can be read")
        else:
            _device(device, found)


def _gpus_key(service: Part, found: Sizing) -> None:
    for path, item in service.rows("gpus"):
        if isinstance(item, Mapping):
            _device(Part(service.notes, path, item), found, always=True)
        elif isinstance(item, Scalar):
            service.notes.lost(path, item.mark, "`all` GPUs: one is asked for", "list as many as it needs")
            found.gpus.append({})


def _device(device: Part, found: Sizing, *, always: bool = False) -> None:
    node = device.take("capabilities")
    kinds = words(node) if node is not None else None
    if not always and not set(kinds or ()) & {"gpu", "nvidia", "compute"}:
        device.notes.lost(device.path, device.node.mark, "a device that is no GPU")
        return
    driver = device.text("driver").lower()
    one: dict[str, Any] = {"vendor": _VENDORS[driver]} if driver in _VENDORS else {}
    if driver and not one:
        device.lost("driver", f"the driver {driver[:40]}")
    ids = [item for _, item in device.rows("device_ids")]
    count = device.text("count")
    if ids:
        device.rest(silent=frozenset({"options"}))
        for item in ids[:MAX_GPUS]:
            text = item.text if isinstance(item, Scalar) else ""
            plain = text.isascii() and text.isdigit() and len(text) < 5
            found.gpus.append(one | ({"index": int(text)} if plain else {"uuid": text} if text else {}))
        return
    number = int(count) if count.isascii() and count.isdigit() and len(count) < 5 else 0
    if not 1 <= number <= MAX_GPUS:
        device.notes.lost(
            device.at("count"),
            device.mark("count"),
            f"{count or 'all'} GPUs: one is asked for",
            "write their number",
        )
        number = 1
    found.gpus += [dict(one) for _ in range(number)]
    device.rest(silent=frozenset({"options"}))

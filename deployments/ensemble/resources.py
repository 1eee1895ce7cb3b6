"""The `resources` of an allocation: a map, a template's name, or a map that refines a template."""

from __future__ import annotations

from typing import Any

from deployments.ensemble import units
from deployments.ensemble.fields import Context, Fields, Shape, fields
from deployments.ensemble.model import GpuSpec, ResourceSpec
from deployments.ensemble.problems import Mark, suggest
from deployments.ensemble.tree import Mapping, Scalar, Tree

_CPU = Shape(
    "cpu",
    frozenset({"cores", "architecture", "clock_speed", "model", "vendor", "threads", "cache_size"}),
    {"clockspeed": "clock_speed", "cachesize": "cache_size"},
)
_RAM = Shape("ram", frozenset({"size", "clock_speed", "type"}), {"clockspeed": "clock_speed"})
_DISK = Shape(
    "disk",
    frozenset({"size", "type", "model", "vendor", "interface", "read_speed", "write_speed"}),
    {"readspeed": "read_speed", "writespeed": "write_speed"},
)
_GPU = Shape("a GPU", frozenset({"vendor", "model", "vram", "index", "pci_address", "uuid"}))
_RESOURCES = Shape("resources", frozenset({"cpu", "ram", "disk", "gpus"}), {"gpu": "gpus"})

_VENDORS = (("NVIDIA", "NVIDIA"), ("AMD", "AMD/ATI"), ("ATI", "AMD/ATI"), ("INTEL", "Intel"))
MAX_GPUS = 1024


def templated(context: Context, node: Tree, path: str, templates: dict[str, Tree]) -> Tree | None:
    """Return the map of resources after its template is merged under it; None after an error."""
    name: Tree | None = node
    if isinstance(node, Mapping):
        name = node.items.get("name")
        if name is None:
            return node
    if not isinstance(name, Scalar):
        return node
    template = templates.get(name.text)
    if not isinstance(template, Mapping):
        context.report.error(
            path,
            name.mark,
            f"no template {name.text[:60]!r} in the root's `resources`",
            suggest(name.text, templates) or "define it there: `resources: {small: {cpu: ...}}`",
        )
        return None
    if isinstance(node, Mapping):
        return merge(context, template, node, path)
    context.spend(template.units, path, node.mark)
    return template


def merge(context: Context, base: Mapping, over: Mapping, path: str) -> Mapping:
    """Return `base` with the members of `over` on top, maps inside merged one level down."""
    context.spend(base.units + over.units, path, over.mark)
    items = dict(base.items)
    marks = dict(base.marks)
    for key, value in over.items.items():
        below = items.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = Mapping(below.items | value.items, value.mark, below.marks | value.marks)
        items[key] = value
        marks[key] = over.mark_of(key)
    items.pop("name", None)
    return Mapping(items, over.mark, marks)


def read_resources(
    context: Context, node: Tree, path: str, mark: Mark, templates: dict[str, Tree]
) -> ResourceSpec:
    """Return what the allocation wants."""
    merged = templated(context, node, path, templates)
    top = None if merged is None else fields(context, _RESOURCES, merged, path, mark)
    if top is None:
        return ResourceSpec()
    cores = 0
    details: dict[str, dict[str, Any]] = {}
    if cpu := top.child("cpu", _CPU, required="write `cpu: {cores: 1}`"):
        cores = _cores(cpu)
        details["cpu"] = _texts(cpu, "architecture", "model", "vendor")
        if clock := _optional(cpu, "clock_speed", units.CLOCKS, units.GHZ):
            details["cpu"]["clock_speed"] = clock
        if threads := cpu.integer("threads", 0, 1 << 20):
            details["cpu"]["threads"] = threads
        if cache := _optional(cpu, "cache_size", units.SIZES, 1):
            details["cpu"]["cache_size"] = cache
    ram = 0
    if memory := top.child("ram", _RAM, required="write `ram: {size: 1}` (GiB)"):
        ram = _size(memory)
        details["ram"] = _texts(memory, "type")
        if clock := _optional(memory, "clock_speed", units.CLOCKS, units.GHZ):
            details["ram"]["clock_speed"] = clock
    disk = 0
    if storage := top.child("disk", _DISK, required="write `disk: {size: 1}` (GiB)"):
        disk = _size(storage)
        details["disk"] = _texts(storage, "type", "model", "vendor", "interface")
        for key in ("read_speed", "write_speed"):
            if speed := _optional(storage, key, units.SIZES, 1):
                details["disk"][key] = speed
    gpus = [
        _gpu(gpu)
        for item_path, item in top.rows("gpus", required="")
        if (gpu := fields(context, _GPU, item, item_path))
    ]
    if len(gpus) > MAX_GPUS:
        top.error("gpus", f"more than {MAX_GPUS} GPUs", "spread them over several allocations")
    return ResourceSpec(
        cores, ram, disk, tuple(gpus), {part: found for part, found in details.items() if found}
    )


def _cores(cpu: Fields) -> int:
    value = cpu.number("cores", required="the number of cores, such as 1 or 0.5")
    if value is None:
        return 0
    if value <= 0:
        cpu.error("cores", "cores must be positive", "such as 1 or 0.5")
        return 0
    try:
        return units.centicores(value)
    except units.UnitFault as fault:
        cpu.error("cores", str(fault))
        return 0


def _size(part: Fields) -> int:
    hint = "a size such as 1 (GiB), 512MiB or 2GB"
    amount = part.quantity("size", units.SIZES, units.GIB, required=hint)
    if amount is not None and amount <= 0:
        part.error("size", "size must be positive", hint)
    return amount or 0


def _optional(part: Fields, key: str, known: dict[str, int], default: int) -> int:
    """Return an amount that may be missing, empty or 0."""
    node = part.find(key)
    if node is None or (isinstance(node, Scalar) and not node.text):
        return 0
    amount = part.quantity(key, known, default) or 0
    if amount < 0:
        part.error(key, f"{key} must not be negative")
    return amount


def _texts(part: Fields, *keys: str) -> dict[str, Any]:
    found = {key: part.text(key, may_be_empty=True) for key in keys if key in part.items}
    return {key: text for key, text in found.items() if text}


def _gpu(gpu: Fields) -> GpuSpec:
    vendor = gpu.text("vendor")
    upper = vendor.upper()
    return GpuSpec(
        vendor=next((name for part, name in _VENDORS if part in upper), vendor),
        model=gpu.text("model"),
        vram_bytes=_optional(gpu, "vram", units.SIZES, units.GIB),
        index=gpu.integer("index", 0, MAX_GPUS) if gpu.find("index") is not None else None,
        pci_address=gpu.text("pci_address"),
        uuid=gpu.text("uuid"),
    )

"""Onboarding decided: what an owner asks to offer, the limits, and every one that is broken. Pure.

Limits: cores from 1 to the machine's; RAM and each GPU's VRAM from 10 % to 90 % of it; disk from 1 GiB to 90 %
of what is free where work is stored; all of it free on the machine now; never below what is promised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capabilities.refusal import Reason, Refusal
from node.gpus import Gpu, ordered
from node.hardware import HardwareFacts
from node.ledger import Headroom, machine_gaps
from node.quantities import parse_bytes, parse_centicores, show_bytes, show_cores
from node.resources import Resources, Shortage, subtract

# A share of VRAM is written with two decimals of a GiB: what rounding adds is taken off again.
VRAM_ROUNDING_BYTES = (1 << 30) // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers of the checks; the defaults of the product are in `capabilities.numbers`."""

    min_centicores: int = 100
    min_percent: int = 10
    max_percent: int = 90
    min_disk_bytes: int = 1 << 30

    def share(self, total: int) -> tuple[int, int]:
        """Return the lowest and the highest amount of `total` that may be offered."""
        return -(-total * self.min_percent // 100), total * self.max_percent // 100


@dataclass(frozen=True, slots=True)
class Offer:
    """What an owner asks to offer. `gpus` None: every GPU of the machine at the highest share."""

    cpu_centicores: int
    ram_bytes: int
    disk_bytes: int
    gpus: tuple[Gpu, ...] | None = None
    no_gpu: bool = False


def read_offer(
    resources: Mapping[str, Any], gpus_text: str, no_gpu: bool, facts: HardwareFacts
) -> tuple[Offer, tuple[Reason, ...]]:
    """Return the offer in an onboard request and a reason for each part that cannot be read.

    `resources` is the reference's object: `cpu.cores`, `ram.size`, `disk.size` (a number is GiB, a text may
    carry a unit), `gpus`. `gpus_text` is `index:VRAM,index:VRAM` in GiB; an index alone offers 90 %.
    """
    reasons: list[Reason] = []
    values: dict[str, int] = {}
    for path, read in (
        ("cpu.cores", parse_centicores),
        ("ram.size", parse_bytes),
        ("disk.size", parse_bytes),
    ):
        part, name = path.split(".")
        value = (resources.get(part) or {}).get(name)
        try:
            if value is None:
                raise ValueError(f"{path} is missing")
            values[path] = read(value, path)
        except ValueError as error:
            reasons.append(_unreadable(path, error))
    gpus: tuple[Gpu, ...] | None = None
    listed = resources.get("gpus") or ()
    if no_gpu and (gpus_text or listed):
        reasons.append(_unreadable("gpus", ValueError("NoGPU and GPUs exclude each other")))
    elif no_gpu:
        gpus = ()
    elif gpus_text or listed:
        try:
            wanted = _gpus_of_text(gpus_text) if gpus_text else [_gpu_of_document(item) for item in listed]
            gpus = _of_machine(wanted, facts)
        except ValueError as error:
            reasons.append(_unreadable("gpus", error))
    offer = Offer(
        values.get("cpu.cores", 0), values.get("ram.size", 0), values.get("disk.size", 0), gpus, no_gpu
    )
    return offer, tuple(reasons)


def decide(
    offer: Offer,
    facts: HardwareFacts,
    *,
    limits: Limits,
    disk_free_bytes: int,
    headroom: Headroom,
    reserved: Resources,
) -> Resources:
    """Return what is onboarded; `Refusal` with every broken limit, and the interval that would pass.

    `disk_free_bytes` and `headroom` already count what our own allocations use as free: it is theirs to keep.
    """
    gpus = _at_highest(facts.gpus, limits) if offer.gpus is None else offer.gpus
    gpus = tuple(_clamped(gpu, facts, limits) for gpu in gpus)
    amount = Resources(offer.cpu_centicores, offer.ram_bytes, offer.disk_bytes, ordered(gpus))
    broken = _out_of_limits(amount, facts, limits, disk_free_bytes)
    out = {reason.path for reason in broken}
    busy = tuple(reason for reason in _high_usage(amount, headroom) if reason.path not in out)
    demand: tuple[Reason, ...] = ()
    try:
        subtract(amount, reserved)
    except Shortage as shortage:
        demand = tuple(
            replace(
                reason,
                check=f"demand.{reason.check}",
                message=f"Demand too high: {reason.message}",
                hint="offer at least what is committed and allocated, or shut down deployments first",
            )
            for reason in shortage.reasons
        )
    reasons = (*broken, *busy, *demand)
    if reasons:
        code = "capacity_not_met" if broken else "machine_has_high_usage" if busy else "demand_too_high"
        raise refused(code, reasons)
    return amount


def refused(code: str, reasons: tuple[Reason, ...]) -> Refusal:
    """Return the refusal of an onboarding with all its reasons."""
    detail = f"{code.replace('_', ' ')}: " + "; ".join(reason.message for reason in reasons)
    status = 400 if code in ("bad_request", "capacity_not_met") else 409
    return Refusal(code, detail, status=status, hint=reasons[0].hint, reasons=reasons)


def _out_of_limits(
    amount: Resources, facts: HardwareFacts, limits: Limits, disk_free_bytes: int
) -> tuple[Reason, ...]:
    reasons = []

    def interval(path: str, value: int, low: int, high: int, show: Any) -> None:
        if low <= value <= high:
            return
        # Both ends are shown so that what is shown passes: the lowest rounded up, the highest down.
        least = show_bytes(low, up=True) if show is show_bytes else show(low)
        what = path.split(".")[0] if not path.startswith("cpu") else "cores"
        if low > high:
            message = f"{what}: out of range, {least} at least, but only {show(high)} can be offered here"
            hint = "make room on this machine first"
        else:
            message = f"{what} must be between {least} and {show(high)}, not {show(value)}"
            hint = f"offer {least} to {show(high)}"
        available = f"{least} to {show(high)}"
        reasons.append(Reason("capacity", message, path, needed=show(value), available=available, hint=hint))

    interval("cpu.cores", amount.cpu_centicores, limits.min_centicores, facts.cpu_centicores, show_cores)
    interval("ram.size", amount.ram_bytes, *limits.share(facts.ram_bytes), show_bytes)
    disk_most = disk_free_bytes * limits.max_percent // 100
    interval("disk.size", amount.disk_bytes, limits.min_disk_bytes, disk_most, show_bytes)
    machine = {gpu.identity: gpu for gpu in facts.gpus}
    for gpu in amount.gpus:
        total = machine[gpu.identity].vram_bytes
        interval(f"gpus.{gpu.index}.vram", gpu.vram_bytes, *limits.share(total), show_bytes)
    return tuple(reasons)


def _high_usage(amount: Resources, headroom: Headroom) -> tuple[Reason, ...]:
    # Disk has a limit of its own, which is stricter than what is free.
    gaps = machine_gaps(replace(headroom, disk_bytes=None), amount)
    reasons = [
        replace(gap, message=f"machine has high usage: {gap.message.partition(': ')[2]}") for gap in gaps
    ]
    for gpu in amount.gpus:
        free = headroom.gpu_vram_bytes.get(gpu.identity, gpu.vram_bytes)
        if free < gpu.vram_bytes:
            reasons.append(
                Reason(
                    check="machine.gpus",
                    path=f"gpus.{gpu.index}.vram",
                    message=f"machine has high usage: {gpu.name}: {show_bytes(free)} of VRAM are free",
                    needed=show_bytes(gpu.vram_bytes),
                    available=show_bytes(free),
                    hint=f"offer {show_bytes(free)} or less, or end what uses this GPU",
                )
            )
    return tuple(reasons)


def _gpus_of_text(text: str) -> list[Gpu]:
    wanted = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        index, _, size = part.partition(":")
        if not index.strip().isdigit():
            raise ValueError(f'gpus: {part!r} is not index:VRAM, for example "0:4,1:8" (GiB)')
        vram = parse_bytes(size.strip(), f"gpus.{index}.vram") if size.strip() else 0
        wanted.append(Gpu(index=int(index), vram_bytes=vram))
    return wanted


def _gpu_of_document(item: Mapping[str, Any]) -> Gpu:
    sizeless = {name: value for name, value in item.items() if name not in ("vram", "vram_bytes")}
    size = item.get("vram", item.get("vram_bytes"))
    vram = parse_bytes(size, "gpus.vram") if size else 0
    return replace(Gpu.parse(sizeless), vram_bytes=vram)


def _of_machine(wanted: Sequence[Gpu], facts: HardwareFacts) -> tuple[Gpu, ...]:
    """Return the machine's GPUs that `wanted` names, each with the VRAM asked for (0: the highest share)."""
    known = ", ".join(f"{gpu.index} ({gpu.model})" for gpu in facts.gpus) or "none"
    chosen: dict[tuple[str, ...], Gpu] = {}
    for gpu in wanted:
        fits = [other for other in facts.gpus if gpu.satisfied_by(other) and other.identity not in chosen]
        if not fits:
            raise ValueError(f"{gpu.name} is not a GPU of this machine, or named twice; here are: {known}")
        chosen[fits[0].identity] = replace(fits[0], vram_bytes=gpu.vram_bytes)
    return tuple(chosen.values())


def _at_highest(gpus: Sequence[Gpu], limits: Limits) -> tuple[Gpu, ...]:
    return tuple(replace(gpu, vram_bytes=limits.share(gpu.vram_bytes)[1]) for gpu in gpus)


def _clamped(gpu: Gpu, facts: HardwareFacts, limits: Limits) -> Gpu:
    machine = next(other for other in facts.gpus if other.identity == gpu.identity)
    most = limits.share(machine.vram_bytes)[1]
    rounded = most < gpu.vram_bytes <= most + VRAM_ROUNDING_BYTES
    return replace(gpu, vram_bytes=most) if rounded or not gpu.vram_bytes else gpu


def _unreadable(path: str, error: ValueError) -> Reason:
    return Reason(
        "request", str(error), path, hint='write for example cpu 2, ram "4GiB", disk "20GiB", gpus "0:4"'
    )

"""Resource arithmetic: exact integers, every gap named, comparison that explains itself.

Cores are centicores, sizes bytes, GPUs are matched by identity (`node.gpus`). What a CPU is (architecture,
clock, vendor, model) describes and is compared, but is no quantity: it is neither added nor taken away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from capabilities.refusal import Reason, Refusal
from node.gpus import Gpu, add_gpus, match_gpus, subtract_gpus
from node.quantities import cores_number, parse_centicores, show_bytes, show_cores

__all__ = [
    "Comparison", "CpuTraits", "Gpu", "Resources", "Shortage", "Verdict",
    "add", "assign_gpus", "compare", "subtract", "sum_of",
]  # fmt: skip

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "x64": "amd64",
    "aarch64": "arm64",
    "i686": "386",
    "i386": "386",
}


def architecture_name(text: str) -> str:
    """Return one name for each architecture: `x86_64` and `amd64` are the same machine."""
    lower = text.strip().lower()
    return _ARCHITECTURES.get(lower, lower)


@dataclass(frozen=True, slots=True)
class CpuTraits:
    """What a CPU is, or must be. Sets hold one member on a machine and what all parts ask for in a sum."""

    architectures: frozenset[str] = frozenset()
    vendors: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    clock_hz: int = 0
    threads: int = 0
    cache_bytes: int = 0

    def __or__(self, other: CpuTraits) -> CpuTraits:
        """Return what satisfies both."""
        return CpuTraits(
            self.architectures | other.architectures,
            self.vendors | other.vendors,
            self.models | other.models,
            max(self.clock_hz, other.clock_hz),
            max(self.threads, other.threads),
            max(self.cache_bytes, other.cache_bytes),
        )

    def document(self) -> dict[str, Any]:
        """Return the members that are known, under the reference's names."""
        known = {
            "clock_speed": self.clock_hz,
            "model": ", ".join(sorted(self.models)),
            "vendor": ", ".join(sorted(self.vendors)),
            "threads": self.threads,
            "architecture": ", ".join(sorted(self.architectures)),
            "cache_size": self.cache_bytes,
        }
        return {name: value for name, value in known.items() if value}

    @classmethod
    def parse(cls, cpu: Mapping[str, Any]) -> CpuTraits:
        """Return the traits in a reference `cpu` object; clock in hertz."""
        architecture = str(cpu.get("architecture") or "")
        return cls(
            architectures=frozenset({architecture_name(architecture)}) if architecture else frozenset(),
            vendors=frozenset({str(cpu["vendor"])}) if cpu.get("vendor") else frozenset(),
            models=frozenset({str(cpu["model"])}) if cpu.get("model") else frozenset(),
            clock_hz=int(cpu.get("clock_speed") or 0),
            threads=int(cpu.get("threads") or 0),
            cache_bytes=int(cpu.get("cache_size") or 0),
        )


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of a machine. Never negative: ValueError."""

    cpu_centicores: int = 0
    ram_bytes: int = 0
    disk_bytes: int = 0
    gpus: tuple[Gpu, ...] = ()
    traits: CpuTraits = field(default=CpuTraits(), compare=False)

    def __post_init__(self) -> None:
        for name in ("cpu_centicores", "ram_bytes", "disk_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative: {getattr(self, name)}")
        object.__setattr__(self, "gpus", add_gpus(self.gpus, ()))

    def document(self) -> dict[str, Any]:
        """Return the reference's JSON: `cpu.cores`, `ram.size` and `disk.size` in bytes, `gpus`."""
        return {
            "cpu": {"cores": cores_number(self.cpu_centicores), **self.traits.document()},
            "ram": {"size": self.ram_bytes},
            "disk": {"size": self.disk_bytes},
            "gpus": [gpu.document() for gpu in self.gpus],
        }

    def view(self) -> dict[str, Any]:
        """Return the flat form of the command line and the resource endpoints."""
        return {
            "cpu_cores": cores_number(self.cpu_centicores),
            "ram_bytes": self.ram_bytes,
            "disk_bytes": self.disk_bytes,
            "gpus": [gpu.document() for gpu in self.gpus],
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the resources of a reference document; sizes are bytes, ValueError names what is wrong."""
        cpu = document.get("cpu") or {}
        return cls(
            cpu_centicores=parse_centicores(cpu.get("cores") or 0, "cpu.cores"),
            ram_bytes=int((document.get("ram") or {}).get("size") or 0),
            disk_bytes=int((document.get("disk") or {}).get("size") or 0),
            gpus=tuple(Gpu.parse(gpu) for gpu in document.get("gpus") or ()),
            traits=CpuTraits.parse(cpu),
        )


class Shortage(Refusal):
    """Something was asked for that is not there; `reasons` lists every gap with its numbers."""

    def __init__(self, reasons: tuple[Reason, ...], detail: str = "") -> None:
        super().__init__(
            "resources_not_available",
            detail or "; ".join(reason.message for reason in reasons),
            status=409,
            hint=reasons[0].hint if reasons else "",
            reasons=reasons,
        )


def add(left: Resources, right: Resources) -> Resources:
    """Return the sum; GPUs known on either side only are kept."""
    return Resources(
        left.cpu_centicores + right.cpu_centicores,
        left.ram_bytes + right.ram_bytes,
        left.disk_bytes + right.disk_bytes,
        add_gpus(left.gpus, right.gpus),
        left.traits | right.traits,
    )


def sum_of(parts: Sequence[Resources]) -> Resources:
    """Return the sum of any number of parts."""
    total = Resources()
    for part in parts:
        total = add(total, part)
    return total


def quantity_gaps(have: Resources, need: Resources) -> tuple[Reason, ...]:
    """Return a reason for each of cores, RAM and disk of which `have` holds less than `need`."""
    rows = (
        ("cpu", "cpu.cores", have.cpu_centicores, need.cpu_centicores, show_cores),
        ("ram", "ram.size", have.ram_bytes, need.ram_bytes, show_bytes),
        ("disk", "disk.size", have.disk_bytes, need.disk_bytes, show_bytes),
    )
    return tuple(
        Reason(
            check=check,
            path=path,
            message=f"{check}: {show(needed)} needed, {show(available)} available",
            needed=show(needed),
            available=show(available),
            hint=f"ask for {show(available)} or less, or wait until more is free",
        )
        for check, path, available, needed, show in rows
        if available < needed
    )


def subtract(left: Resources, right: Resources, total: Sequence[Gpu] = ()) -> Resources:
    """Return what is left of `left`; `Shortage` lists every gap. `total`: see `node.gpus.match_gpus`."""
    gaps = quantity_gaps(left, right)
    gpus, missing = subtract_gpus(left.gpus, right.gpus, total)
    if gaps or missing:
        raise Shortage((*gaps, *missing))
    return Resources(
        left.cpu_centicores - right.cpu_centicores,
        left.ram_bytes - right.ram_bytes,
        left.disk_bytes - right.disk_bytes,
        gpus,
        left.traits,
    )


def assign_gpus(wanted: Sequence[Gpu], free: Sequence[Gpu], total: Sequence[Gpu] = ()) -> tuple[Gpu, ...]:
    """Return the share each demand gets, in the order of `wanted`; `Shortage` names those without one."""
    pairs, missing = match_gpus(wanted, free, total)
    if missing:
        raise Shortage(missing)
    return tuple(share for share, _ in pairs)


class Verdict(StrEnum):
    """How one amount compares with another; `None` when they cannot be compared."""

    BETTER = "Better"
    WORSE = "Worse"
    EQUAL = "Equal"
    NONE = "None"

    def __and__(self, other: Verdict) -> Verdict:
        """Combine, in either order: None absorbs, Worse beats Better, Equal is neutral."""
        for verdict in (Verdict.NONE, Verdict.WORSE, Verdict.BETTER):
            if verdict in (self, other):
                return verdict
        return Verdict.EQUAL


@dataclass(frozen=True, slots=True)
class Comparison:
    """A verdict and the reason for every part that is Worse or cannot be compared."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()

    @property
    def suffices(self) -> bool:
        """Whether the left side can carry the right one."""
        return self.verdict in (Verdict.BETTER, Verdict.EQUAL)

    def __and__(self, other: Comparison) -> Comparison:
        """Combine two parts, in either order."""
        reasons = {*self.reasons, *other.reasons}
        key = lambda reason: (reason.check, reason.path, reason.message, reason.needed, reason.available)  # noqa: E731
        return replace(self, verdict=self.verdict & other.verdict, reasons=tuple(sorted(reasons, key=key)))


def compare(offer: Resources, demand: Resources, total: Sequence[Gpu] = ()) -> Comparison:
    """Compare what a machine offers with what is asked for, part by part."""
    gaps = {reason.check: reason for reason in quantity_gaps(offer, demand)}
    result = _compare_traits(offer.traits, demand.traits) & _compare_gpus(offer.gpus, demand.gpus, total)
    for check, have, need in (
        ("cpu", offer.cpu_centicores, demand.cpu_centicores),
        ("ram", offer.ram_bytes, demand.ram_bytes),
        ("disk", offer.disk_bytes, demand.disk_bytes),
    ):
        if check in gaps:
            result &= Comparison(Verdict.WORSE, (gaps[check],))
        else:
            result &= Comparison(Verdict.EQUAL if have == need else Verdict.BETTER)
    return result


def _compare_gpus(offer: Sequence[Gpu], demand: Sequence[Gpu], total: Sequence[Gpu]) -> Comparison:
    left, missing = subtract_gpus(offer, demand, total)
    if missing:
        return Comparison(Verdict.WORSE, missing)
    return Comparison(Verdict.BETTER if left else Verdict.EQUAL)


def _compare_traits(offer: CpuTraits, demand: CpuTraits) -> Comparison:
    result = Comparison(Verdict.EQUAL)
    for name, have, need in (
        ("architecture", offer.architectures, demand.architectures),
        ("vendor", offer.vendors, demand.vendors),
        ("model", offer.models, demand.models),
    ):
        known = {text.lower() for text in have}
        for text in sorted(need):
            if not any(
                text.lower() == other or (name != "architecture" and text.lower() in other) for other in known
            ):
                result &= Comparison(Verdict.NONE, (_trait_gap(name, text, ", ".join(sorted(have))),))
    if demand.clock_hz and not offer.clock_hz:
        result &= Comparison(Verdict.NONE, (_trait_gap("clock_speed", _ghz(demand.clock_hz), ""),))
    elif demand.clock_hz > offer.clock_hz:
        gap = _trait_gap("clock_speed", _ghz(demand.clock_hz), _ghz(offer.clock_hz))
        result &= Comparison(Verdict.WORSE, (gap,))
    return result


def _trait_gap(name: str, needed: str, available: str) -> Reason:
    known = f"this machine has {available}" if available else "this machine does not know its own"
    return Reason(
        check=f"cpu.{name}",
        path=f"cpu.{name}",
        message=f"cpu.{name}: {needed} is asked for, {known}",
        needed=needed,
        available=available or "unknown",
        hint=f"leave out cpu.{name}" + (f" or ask for {available}" if available else ""),
    )


def _ghz(hertz: int) -> str:
    return f"{hertz / 10**9:.2f} GHz"

"""GPUs: which is which, which satisfies which demand, and who gets which.

A GPU is known by its UUID, else its PCI address, else vendor, model and index. A demand that names none of
these matches any GPU of the vendor, model and VRAM it asks for. A demand without VRAM asks for a whole GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from capabilities.refusal import Reason
from node.quantities import show_bytes

VENDORS: Final = ("NVIDIA", "AMD/ATI", "Intel")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, a share of one, or a demand for one. `vram_bytes` 0 in a demand: the whole GPU."""

    index: int | None = None
    vendor: str = ""
    model: str = ""
    uuid: str = ""
    pci_address: str = ""
    vram_bytes: int = 0

    def __post_init__(self) -> None:
        if self.vram_bytes < 0:
            raise ValueError(f"VRAM of {self.name} is negative: {self.vram_bytes}")

    @property
    def identity(self) -> tuple[str, ...]:
        """The key of this very GPU; empty when nothing but its kind is known."""
        if self.uuid:
            return ("uuid", self.uuid.lower())
        if self.pci_address:
            return ("pci", self.pci_address.lower())
        if self.index is not None:
            return ("slot", vendor_name(self.vendor), self.model.lower(), str(self.index))
        return ()

    @property
    def name(self) -> str:
        """What people call it."""
        kind = " ".join(part for part in (self.vendor, self.model) if part) or "GPU"
        mark = self.uuid or self.pci_address or ("" if self.index is None else f"#{self.index}")
        return f"{kind} {mark}".strip()

    def satisfied_by(self, other: Gpu) -> bool:
        """Say whether `other` is the GPU, or of the kind, that this demand names; VRAM is not looked at."""
        if self.vendor and vendor_name(self.vendor) != vendor_name(other.vendor):
            return False
        if self.model and self.model.lower() not in other.model.lower():
            return False
        if self.uuid and other.uuid:
            return self.uuid.lower() == other.uuid.lower()
        if self.pci_address and other.pci_address:
            return self.pci_address.lower() == other.pci_address.lower()
        if self.uuid or self.pci_address:
            return False
        return self.index is None or self.index == other.index

    def document(self) -> dict[str, Any]:
        """Return the reference's JSON; VRAM in bytes."""
        document: dict[str, Any] = {} if self.index is None else {"index": self.index}
        return document | {
            "vendor": self.vendor,
            "pci_address": self.pci_address,
            "model": self.model,
            "vram": self.vram_bytes,
            "uuid": self.uuid,
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Gpu:
        """Return the GPU of a reference document; VRAM must be whole bytes."""
        index = document.get("index")
        return cls(
            index=None if index is None else int(index),
            vendor=str(document.get("vendor") or ""),
            model=str(document.get("model") or ""),
            uuid=str(document.get("uuid") or ""),
            pci_address=str(document.get("pci_address") or ""),
            vram_bytes=int(document.get("vram", document.get("vram_bytes")) or 0),
        )

    def sort_key(self) -> tuple[Any, ...]:
        """Return the canonical order of a list of GPUs."""
        index = -1 if self.index is None else self.index
        return (index, self.vendor, self.model, self.uuid, self.pci_address, self.vram_bytes)


def vendor_name(text: str) -> str:
    """Return NVIDIA, AMD/ATI or Intel for any text that contains one of their names; else the text itself."""
    upper = text.upper()
    if "NVIDIA" in upper:
        return "NVIDIA"
    if "AMD" in upper or "ATI" in upper:
        return "AMD/ATI"
    return "Intel" if "INTEL" in upper else text


def add_gpus(left: Sequence[Gpu], right: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Sum two lists: VRAM of the same GPU adds up, demands for any GPU and for whole ones stay apart."""
    shares: dict[tuple[str, ...], Gpu] = {}
    apart: list[Gpu] = []
    for gpu in sorted((*left, *right), key=Gpu.sort_key):
        if not gpu.identity or not gpu.vram_bytes:
            apart.append(gpu)
        elif (known := shares.get(gpu.identity)) is not None:
            shares[gpu.identity] = replace(known, vram_bytes=known.vram_bytes + gpu.vram_bytes)
        else:
            shares[gpu.identity] = gpu
    return ordered((*shares.values(), *apart))


def subtract_gpus(
    left: Sequence[Gpu], right: Sequence[Gpu], total: Sequence[Gpu] = ()
) -> tuple[tuple[Gpu, ...], tuple[Reason, ...]]:
    """Take `right` out of `left`; return what is left and a reason for each part that is not there.

    What is exactly there is taken first, then shares of the very same GPU, then demands by kind.
    """
    have = list(left)
    open_demands: list[Gpu] = []
    for gpu, count in Counter(right).items():
        for _ in range(count):
            if gpu in have:
                have.remove(gpu)
            else:
                open_demands.append(gpu)
    by_kind: list[Gpu] = []
    for gpu in open_demands:
        same = [other for other in have if gpu.identity and other.identity == gpu.identity]
        holder = next(
            (other for other in same if gpu.vram_bytes and other.vram_bytes >= gpu.vram_bytes), None
        )
        if holder is None:
            by_kind.append(gpu)
        else:
            have.remove(holder)
            have.extend(_rest(holder, gpu.vram_bytes))
    chosen, reasons = match_gpus(by_kind, have, total)
    for share, holder in chosen:
        have.remove(holder)
        have.extend(_rest(holder, share.vram_bytes))
    return ordered(have), reasons


def _rest(holder: Gpu, taken_bytes: int) -> list[Gpu]:
    rest = holder.vram_bytes - taken_bytes
    return [replace(holder, vram_bytes=rest)] if rest else []


def match_gpus(
    wanted: Sequence[Gpu], free: Sequence[Gpu], total: Sequence[Gpu] = ()
) -> tuple[list[tuple[Gpu, Gpu]], tuple[Reason, ...]]:
    """Give each demand a GPU of its own; return (share, free GPU it is cut from) in the order of `wanted`.

    `total` are the GPUs when nobody uses them: a whole GPU is given only where `free` shows all of it.
    A maximum matching, so that a demand for any GPU never takes the only one another demand can use; among
    those that fit, the tightest, so that large ones stay whole.
    """
    whole = {gpu.identity: gpu.vram_bytes for gpu in total if gpu.identity}

    def fits(demand: Gpu, gpu: Gpu) -> bool:
        if not demand.satisfied_by(gpu):
            return False
        if demand.vram_bytes:
            return gpu.vram_bytes >= demand.vram_bytes
        return gpu.vram_bytes == whole.get(gpu.identity, gpu.vram_bytes)

    ranked = sorted(range(len(free)), key=lambda slot: (free[slot].vram_bytes, free[slot].sort_key()))
    taken: dict[int, int] = {}

    def place(demand: int, tried: set[int]) -> bool:
        for slot in ranked:
            if slot in tried or not fits(wanted[demand], free[slot]):
                continue
            tried.add(slot)
            if slot not in taken or place(taken[slot], tried):
                taken[slot] = demand
                return True
        return False

    # Whole GPUs and large shares first: a smaller demand never pushes a larger one out.
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i].vram_bytes != 0, -wanted[i].vram_bytes, i))
    missing = [demand for demand in order if not place(demand, set())]
    slots = {demand: slot for slot, demand in taken.items()}
    pairs = [
        (replace(free[slot], vram_bytes=wanted[demand].vram_bytes or free[slot].vram_bytes), free[slot])
        for demand, slot in sorted(slots.items())
    ]
    return pairs, tuple(_missing(wanted[demand], free) for demand in sorted(missing))


def _missing(demand: Gpu, free: Sequence[Gpu]) -> Reason:
    size = f"{show_bytes(demand.vram_bytes)} of VRAM" if demand.vram_bytes else "the whole GPU"
    kind = [gpu for gpu in free if demand.satisfied_by(gpu)]
    listed = "; ".join(f"{gpu.name}: {show_bytes(gpu.vram_bytes)}" for gpu in kind or free) or "no GPU"
    return Reason(
        check="gpus",
        path="gpus",
        message=f"no free GPU for the demand for {demand.name}: {size}"
        if kind
        else f"no GPU here is {demand.name}",
        needed=f"{demand.name}, {size}",
        available=listed,
        hint="ask for less VRAM or fewer GPUs"
        if kind
        else "leave out vendor, model or identity, or name one of these",
    )


def ordered(gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    """Return the GPUs in canonical order."""
    return tuple(sorted(gpus, key=Gpu.sort_key))

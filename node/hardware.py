"""What a machine is and what is used of it, as measured. Pure; `workers.probes` measures.

Both documents are what `Node.hardware` and `Probe.usage()` hold: integers for bytes and centicores, GPUs in
the reference's form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from node.gpus import Gpu
from node.quantities import cores_number, parse_centicores
from node.resources import CpuTraits, Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareFacts:
    """The whole machine, as far as this site may use it: a cgroup's limit counts where it is lower."""

    hostname: str = ""
    system: str = ""
    cpu_centicores: int = 0
    cpu: CpuTraits = CpuTraits()
    ram_bytes: int = 0
    disk_bytes: int = 0
    gpus: tuple[Gpu, ...] = ()
    notes: tuple[str, ...] = ()

    def resources(self) -> Resources:
        """Return everything as an amount."""
        return Resources(self.cpu_centicores, self.ram_bytes, self.disk_bytes, self.gpus, self.cpu)

    def document(self) -> dict[str, Any]:
        """Return the facts as JSON."""
        return {
            "hostname": self.hostname,
            "system": self.system,
            **self.resources().document(),
            "notes": list(self.notes),
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the facts of a document."""
        amount = Resources.parse(document)
        return cls(
            hostname=str(document.get("hostname") or ""),
            system=str(document.get("system") or ""),
            cpu_centicores=amount.cpu_centicores,
            cpu=amount.traits,
            ram_bytes=amount.ram_bytes,
            disk_bytes=amount.disk_bytes,
            gpus=amount.gpus,
            notes=tuple(document.get("notes") or ()),
        )


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU and what is used of it. `busy_percent` None: the driver does not say."""

    gpu: Gpu
    vram_used_bytes: int = 0
    busy_percent: float | None = None

    @property
    def vram_free_bytes(self) -> int:
        """VRAM nobody uses."""
        return max(0, self.gpu.vram_bytes - self.vram_used_bytes)

    def document(self) -> dict[str, Any]:
        """Return the use as JSON."""
        busy = {} if self.busy_percent is None else {"busy_percent": self.busy_percent}
        return self.gpu.document() | {"vram_used": self.vram_used_bytes} | busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What everybody on the machine uses now. `disk_*` is the file system where work is stored."""

    cpu_percent: float = 0.0
    cpu_centicores: int = 0
    ram_bytes: int = 0
    ram_used_bytes: int = 0
    disk_bytes: int = 0
    disk_used_bytes: int = 0
    disk_free_bytes: int = 0
    gpus: tuple[GpuUse, ...] = ()

    @property
    def ram_free_bytes(self) -> int:
        """RAM that can be had without swapping."""
        return max(0, self.ram_bytes - self.ram_used_bytes)

    @property
    def cpu_used_centicores(self) -> int:
        """Cores in use, by the busy share of all of them."""
        return round(self.cpu_centicores * min(100.0, max(0.0, self.cpu_percent)) / 100)

    def used(self) -> Resources:
        """Return what is used as an amount; GPUs of which nothing is used are left out."""
        gpus = tuple(
            Gpu(u.gpu.index, u.gpu.vendor, u.gpu.model, u.gpu.uuid, u.gpu.pci_address, u.vram_used_bytes)
            for u in self.gpus
            if u.vram_used_bytes
        )
        return Resources(self.cpu_used_centicores, self.ram_used_bytes, self.disk_used_bytes, gpus)

    def document(self) -> dict[str, Any]:
        """Return the use as JSON."""
        return {
            "cpu": {"percent": self.cpu_percent, "cores": cores_number(self.cpu_centicores)},
            "ram": {"size": self.ram_bytes, "used": self.ram_used_bytes},
            "disk": {
                "size": self.disk_bytes,
                "used": self.disk_used_bytes,
                "free": self.disk_free_bytes,
            },
            "gpus": [use.document() for use in self.gpus],
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the use in a document."""
        cpu, ram, disk = (document.get(name) or {} for name in ("cpu", "ram", "disk"))
        return cls(
            cpu_percent=float(cpu.get("percent") or 0.0),
            cpu_centicores=parse_centicores(cpu.get("cores") or 0, "cpu.cores"),
            ram_bytes=int(ram.get("size") or 0),
            ram_used_bytes=int(ram.get("used") or 0),
            disk_bytes=int(disk.get("size") or 0),
            disk_used_bytes=int(disk.get("used") or 0),
            disk_free_bytes=int(disk.get("free") or 0),
            gpus=tuple(
                GpuUse(Gpu.parse(gpu), int(gpu.get("vram_used") or 0), gpu.get("busy_percent"))
                for gpu in document.get("gpus") or ()
            ),
        )

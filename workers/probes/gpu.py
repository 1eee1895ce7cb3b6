"""GPUs: NVIDIA through its management library, AMD and Intel as far as sysfs tells.

No NVIDIA driver is the normal case: the library is looked for on each call, and its absence is no error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from node.gpus import Gpu
from node.hardware import GpuUse

logger = logging.getLogger(__name__)

DRM = Path("/sys/class/drm")
SYSFS_VENDORS = {"0x1002": "AMD/ATI", "0x8086": "Intel"}


def gpus(library: Any = None, drm: Path = DRM) -> tuple[GpuUse, ...]:
    """Return every GPU with its use; NVIDIA's come first, and indexes go on over the others.

    `library` stands in for `pynvml` in tests.
    """
    found = list(_nvidia(library))
    found += _sysfs(drm, len(found))
    return tuple(found)


def _nvidia(library: Any) -> Iterator[GpuUse]:
    library = library or import_module("pynvml")  # only where GPUs are looked for: most processes never do
    try:
        library.nvmlInit()
    except library.NVMLError_LibraryNotFound:
        return
    except library.NVMLError as error:
        logger.warning("the NVIDIA driver is here and does not answer: %s", error)
        return
    try:
        for index in range(library.nvmlDeviceGetCount()):
            try:
                yield _nvidia_device(library, index)
            except library.NVMLError as error:
                logger.warning("NVIDIA GPU %d does not answer and is left out: %s", index, error)
    finally:
        library.nvmlShutdown()


def _nvidia_device(library: Any, index: int) -> GpuUse:
    handle = library.nvmlDeviceGetHandleByIndex(index)
    memory = library.nvmlDeviceGetMemoryInfo(handle)
    try:
        busy = float(library.nvmlDeviceGetUtilizationRates(handle).gpu)
    except library.NVMLError:
        busy = None  # not supported by every card, and not by parts of a card
    gpu = Gpu(
        index=index,
        vendor="NVIDIA",
        model=_text(library.nvmlDeviceGetName(handle)),
        uuid=_text(library.nvmlDeviceGetUUID(handle)),
        pci_address=_text(library.nvmlDeviceGetPciInfo(handle).busId).lower(),
        vram_bytes=int(memory.total),
    )
    return GpuUse(gpu, int(memory.used), busy)


def _sysfs(drm: Path, first_index: int) -> list[GpuUse]:
    found: list[GpuUse] = []
    for card in sorted(drm.glob("card[0-9]*"), key=lambda path: (len(path.name), path.name)):
        device = card / "device"
        vendor = SYSFS_VENDORS.get(_read(device / "vendor"))
        if vendor is None or "-" in card.name:  # card0-HDMI-A-1 is a connector
            continue
        busy = _read(device / "gpu_busy_percent")
        gpu = Gpu(
            index=first_index + len(found),
            vendor=vendor,
            model=_read(device / "product_name") or f"{vendor} {_read(device / 'device')}".strip(),
            uuid=_read(device / "unique_id"),
            pci_address=device.resolve().name.lower(),
            vram_bytes=_number(_read(device / "mem_info_vram_total")),
        )
        used = _number(_read(device / "mem_info_vram_used"))
        found.append(GpuUse(gpu, used, float(busy) if busy.isdigit() else None))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

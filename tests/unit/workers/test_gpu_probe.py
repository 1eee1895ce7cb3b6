"""GPU detection, against stand-ins: no GPU exists on a test machine.

A contract test: the stand-in for NVML has the functions and the fields of `nvidia-ml-py` that the probe
uses, checked against the real module by name; the AMD and Intel parts read a made-up sysfs tree.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from workers.probes.gpu import gpus

GIB = 1 << 30


class StandIn:
    """Two NVIDIA cards, the second of which does not tell its load; optionally a driver that fails."""

    NVMLError = type("NVMLError", (Exception,), {})
    NVMLError_LibraryNotFound = type("NVMLError_LibraryNotFound", (NVMLError,), {})

    def __init__(self, init_error: Exception | None = None, broken: int | None = None) -> None:
        self.init_error, self.broken, self.open = init_error, broken, 0

    def nvmlInit(self) -> None:
        if self.init_error:
            raise self.init_error
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index == self.broken:
            raise self.NVMLError("GPU is lost")
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=24 * GIB, used=handle * GIB, free=0)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        if handle == 1:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=37, memory=1)

    def nvmlDeviceGetName(self, handle: int) -> bytes | str:
        return b"NVIDIA A10" if handle else "NVIDIA A10"

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetPciInfo(self, handle: int) -> Any:
        return SimpleNamespace(busId=f"00000000:0{handle + 1}:00.0".encode())


def test_the_stand_in_has_the_names_of_the_real_module() -> None:
    names = [name for name in dir(StandIn) if name.lower().startswith("nvml")]
    assert len(names) == 11
    assert all(hasattr(pynvml, name) for name in names)
    assert issubclass(pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError)


def test_nvidia_cards_with_their_identity_and_use(tmp_path: Path) -> None:
    library = StandIn()
    first, second = gpus(library, tmp_path)
    assert (first.gpu.index, first.gpu.vendor, first.gpu.model) == (0, "NVIDIA", "NVIDIA A10")
    assert (first.gpu.uuid, first.gpu.pci_address) == ("GPU-0", "00000000:01:00.0")
    assert (first.gpu.vram_bytes, first.busy_percent) == (24 * GIB, 37.0)
    assert (second.vram_used_bytes, second.vram_free_bytes, second.busy_percent) == (GIB, 23 * GIB, None)
    assert library.open == 0


def test_a_lost_card_does_not_hide_the_other(tmp_path: Path) -> None:
    assert [use.gpu.uuid for use in gpus(StandIn(broken=0), tmp_path)] == ["GPU-1"]


@pytest.mark.parametrize("error", [StandIn.NVMLError_LibraryNotFound(), StandIn.NVMLError("driver mismatch")])
def test_no_driver_is_no_gpu_and_no_error(tmp_path: Path, error: Exception) -> None:
    assert gpus(StandIn(init_error=error), tmp_path) == ()


def test_the_real_library_without_a_driver(tmp_path: Path) -> None:
    assert isinstance(gpus(drm=tmp_path), tuple)


def card(drm: Path, name: str, address: str, files: dict[str, str]) -> None:
    device = drm.parent / "devices" / address
    device.mkdir(parents=True)
    for file, text in files.items():
        (device / file).write_text(text + "\n")
    (drm / name).mkdir(parents=True)
    (drm / name / "device").symlink_to(device)


def test_amd_and_intel_as_far_as_sysfs_tells(tmp_path: Path) -> None:
    drm = tmp_path / "drm"
    amd = {
        "vendor": "0x1002",
        "device": "0x740f",
        "product_name": "Instinct MI210",
        "unique_id": "5f3a",
        "mem_info_vram_total": str(64 * GIB),
        "mem_info_vram_used": str(GIB),
        "gpu_busy_percent": "12",
    }
    card(drm, "card1", "0000:03:00.0", amd)
    card(drm, "card0", "0000:00:02.0", {"vendor": "0x8086", "device": "0x56a0"})
    card(drm, "card2", "0000:09:00.0", {"vendor": "0x1a03"})
    (drm / "card0-HDMI-A-1").mkdir()
    (drm / "renderD128").mkdir()
    *nvidia, intel, radeon = gpus(StandIn(), drm)
    assert len(nvidia) == 2
    assert (intel.gpu.index, intel.gpu.vendor, intel.gpu.model) == (2, "Intel", "Intel 0x56a0")
    assert (intel.gpu.pci_address, intel.gpu.vram_bytes) == ("0000:00:02.0", 0)
    assert (radeon.gpu.vendor, radeon.gpu.model, radeon.gpu.uuid) == ("AMD/ATI", "Instinct MI210", "5f3a")
    assert (radeon.gpu.vram_bytes, radeon.vram_used_bytes, radeon.busy_percent) == (64 * GIB, GIB, 12.0)

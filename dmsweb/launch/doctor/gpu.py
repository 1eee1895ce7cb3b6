"""GPUs: is there one, does its driver answer, can containers use it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dmsweb.launch.doctor.check import Check, tried
from dmsweb.launch.doctor.containers import DEFAULT_SOCKET, ask

COST = "GPUs of this machine cannot be offered"
TOOLKIT = (
    "install nvidia-container-toolkit, then: nvidia-ctk runtime configure --runtime=docker and restart Docker"
)


def toolkit() -> Check:
    """Say whether the GPUs of this machine can be given to containers."""
    if Path("/dev/nvidiactl").exists():
        return _nvidia()
    if Path("/dev/kfd").exists():
        ok = os.access("/dev/kfd", os.R_OK | os.W_OK)
        hint = "" if ok else "add yourself to the groups render and video, then log in again"
        return Check("gpu", ok, "AMD GPU (/dev/kfd)", "" if ok else COST, hint)
    cards = [path.name for path in Path("/sys/class/drm").glob("renderD*")]
    return Check("gpu", True, f"{', '.join(sorted(cards))}, no compute driver" if cards else "no GPU")


def _nvidia() -> Check:
    smi = shutil.which("nvidia-smi")
    if smi:
        said = tried([smi, "-L"])
        if said:
            return Check(
                "gpu", False, f"NVIDIA driver: {said}", COST, "mend the driver until nvidia-smi answers"
            )
    try:
        facts = ask(DEFAULT_SOCKET, "/info")
    except OSError:
        return Check("gpu", True, "NVIDIA GPU; no Docker Engine to give it to")
    if (
        "nvidia" in facts.get("Runtimes", {})
        or facts.get("CDISpecDirs")
        or shutil.which("nvidia-container-cli")
    ):
        return Check("gpu", True, "NVIDIA GPU, container toolkit installed")
    return Check("gpu", False, "NVIDIA GPU, but Docker has no NVIDIA runtime", COST, TOOLKIT)

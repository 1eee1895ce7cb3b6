"""GPUs of an allocation as options of a container."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.executors.base import Cause, ExecutorError

KFD = "/dev/kfd"
DRI = Path("/dev/dri")


def device_nodes(pci_address: str) -> list[str]:
    """Return the /dev/dri nodes of the GPU at `pci_address`; all of them where the kernel keeps no such map."""
    links = sorted((DRI / "by-path").glob(f"pci-{pci_address}-*")) if pci_address else []
    nodes = links or [*sorted(DRI.glob("renderD*")), *sorted(DRI.glob("card*"))]
    return [str(node.resolve()) for node in nodes]


def owner_groups(paths: Iterable[str]) -> list[str]:
    """Return the numeric groups that own the device nodes: images rarely know `render` and `video` by name."""
    groups: set[int] = set()
    for path in paths:
        status = Path(path).stat()
        if stat.S_ISCHR(status.st_mode):
            groups.add(status.st_gid)
    return [str(group) for group in sorted(groups)]


def gpu_options(
    gpus: Sequence[Mapping[str, Any]],
    *,
    nodes_of: Callable[[str], list[str]] = device_nodes,
    groups_of: Callable[[Iterable[str]], list[str]] = owner_groups,
) -> dict[str, Any]:
    """Return the members of HostConfig that give exactly these GPUs; ExecutorError says what does not go.

    Each GPU has the members of `node.resources.Gpu`: vendor, uuid, index, pci_address.
    """
    if not gpus:
        return {}
    vendors = {str(gpu.get("vendor", "")).upper() for gpu in gpus}
    if len(vendors) > 1:
        detail = (
            f"GPUs of several vendors in one allocation ({', '.join(sorted(vendors))}); ask for one vendor"
        )
        raise ExecutorError(Cause.START_FAILED, detail)
    vendor = vendors.pop()
    if "NVIDIA" in vendor:
        ids = [str(gpu.get("uuid") or gpu.get("index", "")) for gpu in gpus]
        return {"DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ids, "Capabilities": [["gpu"]]}]}
    if "AMD" in vendor or "INTEL" in vendor:
        paths = [KFD] if "AMD" in vendor else []
        for gpu in gpus:
            paths += nodes_of(str(gpu.get("pci_address", "")))
        paths = list(dict.fromkeys(paths))
        if not any(path.startswith(str(DRI)) for path in paths):
            raise ExecutorError(Cause.START_FAILED, f"no device below {DRI}; is the {vendor} driver loaded?")
        try:
            groups = groups_of(paths)
        except OSError as error:
            raise ExecutorError(
                Cause.START_FAILED, f"GPU device {error.filename}: {error.strerror}"
            ) from error
        devices = [{"PathOnHost": p, "PathInContainer": p, "CgroupPermissions": "rwm"} for p in paths]
        return {"Devices": devices, "GroupAdd": groups}
    raise ExecutorError(
        Cause.START_FAILED, f"GPUs of vendor {vendor or 'unknown'} cannot be given to containers"
    )

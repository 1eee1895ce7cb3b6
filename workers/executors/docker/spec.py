"""From an execution request to the engine's document of a container. Pure.

Kernel capabilities: Docker's default set less those of DROPPED. Podman and CRI-O leave the same ones out by
default: NET_RAW forges packets on the shared bridge (ping works without it, through ping sockets), MKNOD and
SYS_CHROOT have a long history in escapes, AUDIT_WRITE writes into the host's audit log. What ordinary images
need to start as root and step down (CHOWN, SETUID, SETGID, DAC_OVERRIDE, KILL, NET_BIND_SERVICE) stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.confinement import violations
from workers.executors.base import LABEL, Cause, ExecutionRequest, ExecutorError

DROPPED = ("AUDIT_WRITE", "MKNOD", "NET_RAW", "SYS_CHROOT")
HOSTNAME_MAX = 63
RAM_MIN_BYTES = 6 << 20  # the engine refuses less, and takes 0 for "no limit"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the container gets from this machine: its network, and the limits that are settings."""

    network: str
    bind_address: str
    pids_max: int
    log_max_bytes: int
    host_config: Mapping[str, Any]


def container_name(node_did: str, execution_id: str) -> str:
    """Return the name of the container: short, unique over nodes, found again without asking the engine."""
    digest = hashlib.sha256(f"{node_did}\0{execution_id}".encode()).hexdigest()
    return f"dms-{digest[:20]}"


def labels(request: ExecutionRequest) -> dict[str, str]:
    """Return the labels by which a container is found and adopted."""
    return {
        f"{LABEL}.node": request.node_did,
        f"{LABEL}.deployment": request.deployment_id,
        f"{LABEL}.allocation": request.allocation_id,
        f"{LABEL}.execution": request.execution_id,
        f"{LABEL}.attempt": str(request.attempt),
        f"{LABEL}.type": request.type,
    }


def refuse_unconfined(request: ExecutionRequest) -> None:
    """Raise ExecutorError `confinement` for what the node's owner has not enabled, naming every option."""
    reasons = violations(request.params, (), request.allowances, path=request.allocation_id)
    if reasons:
        detail = "; ".join(f"{reason.path}: {reason.message} ({reason.hint})" for reason in reasons)
        raise ExecutorError(Cause.CONFINEMENT, detail)


def host_network(request: ExecutionRequest) -> bool:
    """Say whether the execution uses the host's network; only with the node owner's allowance."""
    asked = str(request.params.get("network_mode") or request.params.get("network") or "")
    return asked == "host" and "host_namespaces" in request.allowances


def container(
    request: ExecutionRequest, surroundings: Surroundings, *, entrypoint: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the body of POST /containers/create.

    `entrypoint` replaces the request's entrypoint and command by a complete command line.
    """
    params = request.params
    image = str(params.get("image") or "")
    if not image:
        raise ExecutorError(Cause.START_FAILED, "execution.image is missing; give an image like alpine:3")
    document: dict[str, Any] = {
        "Image": image,
        "Hostname": request.dns_name.split(".")[0][:HOSTNAME_MAX],
        "Env": _texts(params, "environment"),
        "Labels": labels(request),
        "ExposedPorts": {f"{port.private}/{port.protocol}": {} for port in request.ports},
        "HostConfig": _host_config(request, surroundings),
    }
    if entrypoint is not None:
        document |= {"Entrypoint": list(entrypoint), "Cmd": []}
    else:
        if params.get("entrypoint"):
            document["Entrypoint"] = _texts(params, "entrypoint")
        if params.get("cmd"):
            document["Cmd"] = _texts(params, "cmd")
    if params.get("working_directory"):
        document["WorkingDir"] = str(params["working_directory"])
    if params.get("user"):
        document["User"] = str(params["user"])
    if not host_network(request):
        name = request.dns_name.removesuffix(".internal")
        names = [name, f"{name}.internal"] if name else []
        document["NetworkingConfig"] = {"EndpointsConfig": {surroundings.network: {"Aliases": names}}}
    return document


def command_line(params: Mapping[str, Any], image: Mapping[str, Any]) -> list[str]:
    """Return what the container would run: the request's words over those of the image's `Config`.

    As the engine does it: an entrypoint of one's own sets the image's command aside.
    """
    entrypoint = _texts(params, "entrypoint")
    command = _texts(params, "cmd")
    if not entrypoint:
        command = command or [str(word) for word in image.get("Cmd") or ()]
        entrypoint = [str(word) for word in image.get("Entrypoint") or ()]
    return entrypoint + command


def _host_config(request: ExecutionRequest, surroundings: Surroundings) -> dict[str, Any]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in request.ports:
        entry = {"HostIp": surroundings.bind_address, "HostPort": str(port.public)}
        bindings.setdefault(f"{port.private}/{port.protocol}", []).append(entry)
    ram_bytes = max(request.ram_bytes, RAM_MIN_BYTES)
    config: dict[str, Any] = {
        "NanoCpus": max(request.cpu_centicores, 1) * 10_000_000,
        "Memory": ram_bytes,
        "MemorySwap": ram_bytes,  # equal means: no swap on top
        "PidsLimit": surroundings.pids_max,
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": str(max(surroundings.log_max_bytes // 2, 1)), "max-file": "2"},
        },
        "SecurityOpt": ["no-new-privileges"],
        "CapDrop": list(DROPPED),
        "Init": True,
        "NetworkMode": "host" if host_network(request) else surroundings.network,
        "PortBindings": bindings,
        "ExtraHosts": [f"{name}:{address}" for name, address in request.hosts.items()],
        "Mounts": [
            {
                "Type": "bind",
                "Source": str(mount.source),
                "Target": mount.destination,
                "ReadOnly": mount.read_only,
            }
            for mount in request.mounts
        ],
    }
    if not host_network(request):
        config["DnsSearch"] = ["internal"]
    return config | dict(surroundings.host_config) | _allowed(request)


def _allowed(request: ExecutionRequest) -> dict[str, Any]:
    """Return the options that only the node's owner can enable; `refuse_unconfined` has let them pass."""
    params, allowances = request.params, request.allowances
    config: dict[str, Any] = {}
    if params.get("privileged") and "privileged" in allowances:
        config |= {"Privileged": True, "SecurityOpt": [], "CapDrop": []}
    if params.get("cap_add") and "kernel_capabilities" in allowances:
        config["CapAdd"] = _texts(params, "cap_add")
    for key, option in (("pid", "PidMode"), ("ipc", "IpcMode")):
        if params.get(key) == "host" and "host_namespaces" in allowances:
            config[option] = "host"
    return config


def _texts(params: Mapping[str, Any], name: str) -> list[str]:
    value = params.get(name) or []
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()]
    if isinstance(value, str):
        raise ExecutorError(Cause.START_FAILED, f"execution.{name} is a text; give a list of texts")
    return [str(item) for item in value]

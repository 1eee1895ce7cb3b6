"""The manifest of a deployment: the reference's EnsembleManifest as JSON, from plain values.

A manifest key is `node.allocation`, an allocation's id `<ensemble>_<node>.<allocation>`, a standby node's id
`<node>-standby-<n>` with n from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

DNS_SUFFIX = ".internal"
Json = Mapping[str, Any]


def manifest_key(node: str, allocation: str) -> str:
    """Return the key of an allocation in its manifest."""
    return f"{node}.{allocation}"


def allocation_id(ensemble: str, node: str, allocation: str) -> str:
    """Return the id of an allocation everywhere."""
    return f"{ensemble}_{manifest_key(node, allocation)}"


def split_manifest_key(key: str) -> tuple[str, str]:
    """Return node and allocation of a manifest key. ValueError when it is none."""
    node, dot, allocation = key.partition(".")
    if not (node and dot and allocation) or "." in allocation:
        raise ValueError(f"{key!r} is not node.allocation")
    return node, allocation


def standby_id(node: str, number: int) -> str:
    """Return the id of a node's standby; `number` counts from 1."""
    return f"{node}-standby-{number}"


def dns_record(dns_name: str) -> str:
    """Return the name under which an allocation is resolved."""
    return f"{dns_name}{DNS_SUFFIX}"


def allocation_manifest(
    *,
    id: str,
    type: str,
    node_id: str,
    handle: Json,
    dns_name: str,
    status: str,
    priv_addr: str = "",
    ports: Iterable[Json] = (),
    healthcheck: Json | None = None,
    redundancy_group: str = "",
    is_standby: bool = False,
) -> dict[str, Any]:
    """Return one AllocationManifest. `ports`: {public, private, protocol}; `ports` maps public to private.

    A public port may serve TCP and UDP at once; the UDP one's key is then `<public>/udp`.
    """
    led = {
        str(port["public"]) if port.get("protocol", "tcp") == "tcp" else f"{port['public']}/udp": port[
            "private"
        ]
        for port in ports
    }
    return {
        "id": id,
        "type": type,
        "node_id": node_id,
        "handle": dict(handle),
        "dns_name": dns_record(dns_name),
        "priv_addr": priv_addr,
        "ports": led,
        "healthcheck": dict(healthcheck or {}),
        "status": status,
        "redundancy_group": redundancy_group,
        "is_standby": is_standby,
    }


def node_manifest(
    *,
    id: str,
    peer: str,
    handle: Json,
    allocations: Iterable[str],
    pub_address: str = "",
    location: Json | None = None,
    standbys: Iterable[str] = (),
    redundancy_role: str = "primary",
) -> dict[str, Any]:
    """Return one NodeManifest; `allocations` are manifest keys. The reference's key is `pub_addrss` [sic]."""
    return {
        "id": id,
        "peer": peer,
        "handle": dict(handle),
        "pub_addrss": pub_address,
        "location": dict(location or {}),
        "allocations": list(allocations),
        "standby_nodes": list(standbys),
        "redundancy_role": redundancy_role,
    }


def ensemble_manifest(
    *,
    id: str,
    orchestrator: Json,
    allocations: Mapping[str, Json],
    nodes: Mapping[str, Json],
    contracts: Mapping[str, Json] | None = None,
    subnet: Json | None = None,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the EnsembleManifest of allocations by manifest key and nodes by id."""
    return {
        "id": id,
        "orchestrator": dict(orchestrator),
        "allocations": {key: dict(value) for key, value in allocations.items()},
        "nodes": {key: dict(value) for key, value in nodes.items()},
        "contracts": {
            name: {"id": name, "did": spec.get("did", ""), "host": spec.get("host", "")}
            for name, spec in (contracts or {}).items()
        },
        "subnet": dict(subnet or {}),
        "metadata": dict(metadata or {}),
    }

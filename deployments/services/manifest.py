"""Keep the deployment's manifest in step with its rows: the reference's EnsembleManifest."""

from __future__ import annotations

from typing import Any

from deployments.models import Allocation, Deployment
from node.handle import Handle
from node.models import Node


def manifest_refresh(deployment: Deployment) -> None:
    """Compute the manifest from the rows and store it."""
    allocations = list(deployment.allocations.select_related("node__identity"))
    body = deployment.ensemble.get("V1", {})
    manifest = {
        "id": deployment.pk,
        "orchestrator": _handle(deployment.orchestrator),
        "allocations": {str(row): _allocation(row) for row in allocations},
        "nodes": _nodes(allocations),
        "contracts": body.get("contracts", {}),
        "subnet": {"dns_records": {f"{row.dns_name}.internal": row.priv_addr for row in allocations}},
        "metadata": deployment.metadata,
    }
    Deployment.objects.filter(pk=deployment.pk).update(manifest=manifest)
    deployment.manifest = manifest


def _handle(node: Node) -> dict[str, Any]:
    return Handle.of_did(node.identity.did).document()


def _nodes(allocations: list[Allocation]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for row in allocations:
        entry = nodes.setdefault(
            row.ensemble_node,
            {
                "id": row.ensemble_node,
                "peer": row.node.peer_id,
                "handle": _handle(row.node),
                "pub_addrss": "",
                "location": row.node.location,
                "allocations": [],
            },
        )
        entry["allocations"].append(str(row))
    return nodes


def _allocation(row: Allocation) -> dict[str, Any]:
    return {
        "id": row.pk,
        "type": row.type,
        "node_id": row.ensemble_node,
        "handle": _handle(row.node),
        "dns_name": f"{row.dns_name}.internal",
        "priv_addr": row.priv_addr,
        "ports": {str(port["public"]): port["private"] for port in row.ports},
        "healthcheck": row.spec.get("healthcheck", {}),
        "status": row.status,
    }

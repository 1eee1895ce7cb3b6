"""Keep the deployment's manifest in step with its rows: the reference's EnsembleManifest."""

from __future__ import annotations

from typing import Any

from deployments.ensemble.manifest import (
    allocation_manifest,
    dns_record,
    ensemble_manifest,
    node_manifest,
)
from deployments.models import Allocation, Deployment
from node.handle import Handle
from node.models import Node


def manifest_refresh(deployment: Deployment) -> None:
    """Compute the manifest from the rows and store it."""
    allocations = list(deployment.allocations.select_related("node__identity"))
    body = deployment.ensemble.get("V1", {})
    manifest = ensemble_manifest(
        id=deployment.pk,
        orchestrator=_handle(deployment.orchestrator),
        allocations={str(row): _allocation(row) for row in allocations},
        nodes=_nodes(allocations),
        contracts=body.get("contracts", {}),
        subnet={"dns_records": {dns_record(row.dns_name): row.priv_addr for row in allocations}},
        metadata=deployment.metadata,
    )
    Deployment.objects.filter(pk=deployment.pk).update(manifest=manifest)
    deployment.manifest = manifest


def _handle(node: Node) -> dict[str, Any]:
    return Handle.of_did(node.identity.did).document()


def _nodes(allocations: list[Allocation]) -> dict[str, Any]:
    held: dict[str, list[Allocation]] = {}
    for row in allocations:
        held.setdefault(row.ensemble_node, []).append(row)
    return {
        name: node_manifest(
            id=name,
            peer=rows[0].node.peer_id,
            handle=_handle(rows[0].node),
            allocations=[str(row) for row in rows],
            location=rows[0].node.location,
        )
        for name, rows in held.items()
    }


def _allocation(row: Allocation) -> dict[str, Any]:
    return allocation_manifest(
        id=row.pk,
        type=row.type,
        node_id=row.ensemble_node,
        handle=_handle(row.node),
        dns_name=row.dns_name,
        status=row.status,
        priv_addr=row.priv_addr,
        ports=row.ports,
        healthcheck=row.spec.get("healthcheck", {}),
    )

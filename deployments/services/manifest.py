"""Keep the deployment's manifest in step with its rows: the reference's EnsembleManifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F

from capabilities.paging import under
from deployments.ensemble.manifest import (
    allocation_manifest,
    dns_record,
    ensemble_manifest,
    node_manifest,
)
from deployments.models import Allocation, Deployment
from node.handle import Handle
from node.models import DOCUMENTS as NODE_DOCUMENTS
from node.models import Node


def manifest_refresh(deployment: Deployment) -> None:
    """Compute the manifest from the rows and store it."""
    rows = deployment.allocations.select_related("node__identity").annotate(
        health_check=F("spec__healthcheck")
    )
    # As every start of an allocation comes here, of the long documents only what is shown is read.
    left_out = tuple(name for name in NODE_DOCUMENTS if name != "location")
    allocations = list(rows.defer("spec", *under("node", left_out)))
    asked = Deployment.objects.filter(pk=deployment.pk)
    contracts = asked.values_list("ensemble__V1__contracts", flat=True).first()
    manifest = ensemble_manifest(
        id=deployment.pk,
        orchestrator=_handle(deployment.orchestrator),
        allocations={str(row): _allocation(row) for row in allocations},
        nodes=_nodes(allocations),
        contracts=contracts or {},
        subnet={"dns_records": {dns_record(row.dns_name): row.priv_addr for row in allocations}},
        metadata=deployment.metadata,
    )
    Deployment.objects.filter(pk=deployment.pk).update(manifest=manifest)
    deployment.manifest = manifest


def _handle(node: Node) -> dict[str, Any]:
    return Handle.of_did(node.identity.did).document()


def _nodes(allocations: Sequence[Allocation]) -> dict[str, Any]:
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


def _allocation(row: Any) -> dict[str, Any]:
    return allocation_manifest(
        id=row.pk,
        type=row.type,
        node_id=row.ensemble_node,
        handle=_handle(row.node),
        dns_name=row.dns_name,
        status=row.status,
        priv_addr=row.priv_addr,
        ports=row.ports,
        healthcheck=row.health_check or {},
    )

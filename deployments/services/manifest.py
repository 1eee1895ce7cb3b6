"""Keep the deployment's manifest in step with its rows: the reference's EnsembleManifest.

Every start and every end of an allocation writes it anew, so that of many rows only what is shown is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from deployments.ensemble.manifest import (
    allocation_manifest,
    dns_record,
    ensemble_manifest,
    manifest_key,
    node_manifest,
)
from deployments.models import Deployment
from node.handle import Handle
from node.models import Node

SHOWN = {
    "id": "pk",
    "type": "type",
    "node_id": "ensemble_node",
    "name": "name",
    "dns_name": "dns_name",
    "status": "status",
    "priv_addr": "priv_addr",
    "ports": "ports",
    "healthcheck": "spec__healthcheck",
    "provider": "node_id",
}


def manifest_refresh(deployment: Deployment) -> None:
    """Compute the manifest from the rows and store it."""
    lines = deployment.allocations.values_list(*SHOWN.values())
    rows = {
        manifest_key(row["node_id"], row.pop("name")): row
        for row in (dict(zip(SHOWN, line, strict=True)) for line in lines)
    }
    providers = _nodes({deployment.orchestrator_id, *(row["provider"] for row in rows.values())})
    asked = Deployment.objects.filter(pk=deployment.pk)
    contracts = asked.values_list("ensemble__V1__contracts", flat=True).first()
    manifest = ensemble_manifest(
        id=deployment.pk,
        orchestrator=_handle(providers[deployment.orchestrator_id].identity.did),
        allocations={
            key: allocation_manifest(
                handle=_handle(providers[row["provider"]].identity.did),
                **{name: value for name, value in row.items() if name != "provider"},
            )
            for key, row in rows.items()
        },
        nodes=_held(rows, providers),
        contracts=contracts or {},
        subnet={"dns_records": {dns_record(row["dns_name"]): row["priv_addr"] for row in rows.values()}},
        metadata=deployment.metadata,
    )
    asked.update(manifest=manifest)
    deployment.manifest = manifest


def _nodes(keys: set[UUID]) -> dict[UUID, Node]:
    rows = Node.objects.filter(pk__in=keys).select_related("identity")
    return {node.pk: node for node in rows.only("peer_id", "location", "identity__did")}


@lru_cache(maxsize=4096)
def _handle(did: str) -> dict[str, Any]:
    """Return the handle's document; nobody changes it."""
    return Handle.of_did(did).document()


def _held(rows: Mapping[str, Mapping[str, Any]], providers: Mapping[UUID, Node]) -> dict[str, Any]:
    held: dict[str, list[str]] = {}
    where: dict[str, Node] = {}
    for key, row in rows.items():
        held.setdefault(row["node_id"], []).append(key)
        where.setdefault(row["node_id"], providers[row["provider"]])
    return {
        name: node_manifest(
            id=name,
            peer=where[name].peer_id,
            handle=_handle(where[name].identity.did),
            allocations=keys,
            location=where[name].location,
        )
        for name, keys in held.items()
    }

"""Commit what was bid: resources and ports of every allocation, all or nothing, and the allocations' rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from capabilities.numbers import NUMBERS
from deployments.ensemble import levels
from deployments.ensemble.document import allocation_document
from deployments.ensemble.model import COMPLETED, AllocationSpec, Ensemble, NodeSpec
from deployments.models import Allocation, Deployment
from deployments.services.bidding import needed
from node.services.ledger import Granted, LedgerItem, commit


def allocation_id(deployment: Deployment, ensemble_node: str, name: str) -> str:
    """Return the id of an allocation: `<deployment>_<node>.<allocation>`."""
    return f"{deployment.pk}_{ensemble_node}.{name}"


def commit_placement(deployment: Deployment, ensemble: Ensemble, usage: Mapping[str, Any] | None) -> None:
    """Promise everything on the winner and write the allocations. Refusal with every reason when it fails."""
    items = []
    for node_name, spec in ensemble.nodes.items():
        for name in spec.allocations:
            ports = [port for port in spec.ports if port.allocation == name]
            items.append(
                LedgerItem(
                    allocation_id=allocation_id(deployment, node_name, name),
                    resources=needed(ensemble.allocations[name].resources),
                    static_ports=tuple(port.public for port in ports if port.public),
                    dynamic_ports=sum(1 for port in ports if not port.public),
                )
            )
    granted = commit(
        deployment.orchestrator,
        deployment_id=deployment.pk,
        owner=deployment.owner,
        items=items,
        # The promise must outlive the slowest start that the deadline allows.
        expires_at=max(timezone.now(), deployment.deadline_at) + timedelta(seconds=NUMBERS.commit_lifetime_s),
        usage=usage,
    )
    depth = levels(ensemble)
    rows = [
        _row(deployment, node_name, spec, ensemble.allocations[name], depth[name], granted)
        for node_name, spec in ensemble.nodes.items()
        for name in spec.allocations
    ]
    Allocation.objects.bulk_create(rows)


def _row(
    deployment: Deployment,
    node_name: str,
    node_spec: NodeSpec,
    spec: AllocationSpec,
    level: int,
    granted: Mapping[str, Granted],
) -> Allocation:
    pk = allocation_id(deployment, node_name, spec.name)
    grant = granted[pk]
    free = list(grant.ports)
    wanted = [port for port in node_spec.ports if port.allocation == spec.name]
    for port in wanted:
        if port.public:
            free.remove(port.public)
    ports = [
        {
            "public": port.public or free.pop(0),
            "private": port.private,
            "protocol": port.protocol,
        }
        for port in wanted
    ]
    return Allocation(
        id=pk,
        deployment=deployment,
        owner=deployment.owner,
        node=deployment.orchestrator,
        ensemble_node=node_name,
        name=spec.name,
        type=spec.type,
        executor=spec.executor,
        spec=allocation_document(spec) | {"granted": grant.resources.document()},
        level=level,
        awaited_to_end=spec.ready_when == COMPLETED,
        dns_name=spec.dns_name,
        ports=ports,
    )

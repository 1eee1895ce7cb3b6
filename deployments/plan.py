"""What would be made of an ensemble now: the placement, needs against what is free, every reason. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capabilities.models import Identity
from deployments.confinement import ensemble_violations
from deployments.ensemble.model import Ensemble, NodeSpec
from deployments.explain import Line, line
from deployments.matching import Offer
from deployments.services import bidding, queue
from deployments.services.quota import quota_reasons
from deployments.services.submit import parse_or_refuse
from node.models import Node
from node.resources import sum_of
from node.services.ledger import ledger


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one ensemble. `would_queue`: it does not fit now, but waiting would help."""

    placeable: bool
    would_queue: bool
    ahead: int
    placements: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[Line] = field(default_factory=list)
    allocations: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)


def plan(
    *,
    owner: Identity,
    node: Node,
    ensemble: str | Mapping[str, Any],
    usage: Mapping[str, Any] | None = None,
) -> Plan:
    """Return what deploying `ensemble` would do now; Refusal only for one that is invalid.

    It is answered by the code that bids, on the ledger as it is: what it says is what deploying does.
    """
    config, _ = parse_or_refuse(ensemble)
    ahead = queue.ahead_of(node)
    found = bidding.offers(node, config, usage, owner=owner, ahead=ahead)
    placement = bidding.matched(config, [Offer(name, str(node.pk)) for name in found if not found[name]])
    refused = (
        *ensemble_violations(config.document(), node.allowances),
        *quota_reasons(owner, bidding.demand_of(config), running_time_s=config.max_runtime_s or None),
    )
    forbidden = [line(item, peer=node.name) for item in refused]
    reasons = forbidden + [one for many in found.values() for one in many]
    waits = not forbidden and not any(bidding.offers(node, config, None, owner=owner, empty=True).values())
    view = ledger(node, usage).view()
    return Plan(
        placeable=placement.complete and not reasons,
        would_queue=bool(reasons) and waits,
        ahead=ahead.count,
        placements=[_placed(name, config.nodes[name], config, node) for name in placement.providers],
        reasons=reasons,
        allocations=[
            _need(name, item, config) for name, spec in config.nodes.items() for item in spec.allocations
        ],
        totals={"needed": sum_of(bidding.demand_of(config).parts).view()} | view,
    )


def _placed(name: str, spec: NodeSpec, config: Ensemble, node: Node) -> dict[str, Any]:
    return {
        "subject": name,
        "peer": node.name,
        "peer_id": node.peer_id,
        "allocations": list(spec.allocations),
        "resources": bidding.wanted(spec, config).view(),
        "ports": {
            "static": [port.public for port in spec.ports if port.public],
            "dynamic": sum(1 for port in spec.ports if not port.public),
        },
    }


def _need(name: str, item: str, config: Ensemble) -> dict[str, Any]:
    spec = config.allocations[item]
    return {"subject": f"{name}.{item}", "executor": spec.executor, "type": spec.type} | {
        "needed": bidding.needed(spec.resources).view()
    }

"""Ask for bids and answer them: each provider says yes with a signed bid, or no with every reason.

The site's own node is asked directly. Its answers take the ensemble nodes in order and count what it has
offered already, so that several of them fit on it together.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from capabilities import gojson
from capabilities.custody import node_key
from capabilities.models import Identity
from capabilities.refusal import Reason
from deployments.ensemble.document import node_document, resources_document
from deployments.ensemble.model import Ensemble, NodeSpec, ResourceSpec
from deployments.explain import Line, line
from deployments.matching import Offer, Placement, Problem, Want, place
from deployments.models import Bid, BidRequest, Deployment
from deployments.queueing import Demand
from deployments.services.wishes import unwanted
from node.handle import Handle
from node.models import Node
from node.resources import Resources, sum_of
from node.services.ledger import NOBODY_AHEAD, Ahead, check

BID_PREFIX = b"dms-bid-"


def requests_of(deployment: Deployment, ensemble: Ensemble) -> list[dict[str, Any]]:
    """Return one BidRequestV1 for each ensemble node, as it goes over the wire."""
    return [_request(name, spec, ensemble) for name, spec in ensemble.nodes.items()]


def _request(name: str, spec: NodeSpec, ensemble: Ensemble) -> dict[str, Any]:
    allocations = [ensemble.allocations[item] for item in spec.allocations]
    return {
        "NodeID": name,
        "Executors": sorted({item.executor for item in allocations}),
        "Resources": wanted(spec, ensemble).document(),
        "Location": node_document(spec).get("location", {}),
        "PublicPorts": {
            "Static": [port.public for port in spec.ports if port.public],
            "Dynamic": sum(1 for port in spec.ports if not port.public),
        },
        "GeneralRequirements": {
            "PrivilegedDocker": any(bool(item.execution.params.get("privileged")) for item in allocations)
        },
        "Contracts": {},
    }


def wanted(spec: NodeSpec, ensemble: Ensemble) -> Resources:
    """Return what all allocations of an ensemble node need together."""
    return sum_of([needed(ensemble.allocations[name].resources) for name in spec.allocations])


def needed(spec: ResourceSpec) -> Resources:
    """Return what one allocation needs, in the ledger's terms."""
    return Resources.parse(resources_document(spec))


def demand_of(ensemble: Ensemble) -> Demand:
    """Return what all allocations of an ensemble need, with the ports they name."""
    ports = [port for spec in ensemble.nodes.values() for port in spec.ports]
    return Demand(
        tuple(
            needed(ensemble.allocations[name].resources)
            for spec in ensemble.nodes.values()
            for name in spec.allocations
        ),
        frozenset(port.public for port in ports if port.public),
        sum(1 for port in ports if not port.public),
        frozenset(item.executor for item in ensemble.allocations.values()),
    )


def ask(
    deployment: Deployment,
    ensemble: Ensemble,
    usage: Mapping[str, Any] | None,
    ahead: Ahead = NOBODY_AHEAD,
) -> Placement:
    """Run one round: write the request, collect the answers as rows, and match them."""
    request = BidRequest.objects.create(
        deployment=deployment,
        round=deployment.attempt,
        request={
            "ID": deployment.pk,
            "Nonce": deployment.attempt,
            "Request": [{"V1": item} for item in requests_of(deployment, ensemble)],
            "PeerExclusion": list(ensemble.exclude_peers),
        },
    )
    node = deployment.orchestrator
    bids = answer(node, request, ensemble, usage, ahead)
    placement = matched(
        ensemble,
        [Offer(bid.ensemble_node, str(bid.node_id)) for bid in bids if bid.verdict == Bid.Verdict.OFFERED],
    )
    for bid in bids:
        if bid.verdict == Bid.Verdict.OFFERED and placement.complete:
            won = placement.providers.get(bid.ensemble_node) == str(bid.node_id)
            bid.verdict = Bid.Verdict.WON if won else Bid.Verdict.LOST
    Bid.objects.bulk_create(bids)
    return placement


def matched(ensemble: Ensemble, offered: Sequence[Offer]) -> Placement:
    """Return the best placement of an ensemble's nodes among what was offered."""
    return place(Problem([Want(name) for name in ensemble.nodes], offered))


def offers(
    node: Node,
    ensemble: Ensemble,
    usage: Mapping[str, Any] | None,
    *,
    owner: Identity,
    ahead: Ahead = NOBODY_AHEAD,
    empty: bool = False,
) -> dict[str, list[Line]]:
    """Return for each ensemble node every reason why this node cannot take it; none means that it offers to.

    Bids, plans and the queue all come from here. `ahead`, `empty`: see `node.services.ledger.check`.
    """
    offered: list[Resources] = []
    ports: list[int] = []
    dynamic = 0
    found = {}
    for name, spec in ensemble.nodes.items():
        total = [*offered, *(needed(ensemble.allocations[item].resources) for item in spec.allocations)]
        executors = frozenset(ensemble.allocations[item].executor for item in spec.allocations)
        static = ports + [port.public for port in spec.ports if port.public]
        count = dynamic + sum(1 for port in spec.ports if not port.public)
        reasons = _refusals(node, name, spec, ensemble)
        reasons += unwanted(node, owner, ensemble, sum_of(total), executors, empty=empty)
        reasons += check(
            node, total, static_ports=static, dynamic_ports=count, usage=usage, ahead=ahead, empty=empty
        )
        found[name] = [line(item, subject=name, peer=node.name) for item in reasons]
        if not reasons:
            offered, ports, dynamic = total, static, count
    return found


def answer(
    node: Node,
    request: BidRequest,
    ensemble: Ensemble,
    usage: Mapping[str, Any] | None,
    ahead: Ahead = NOBODY_AHEAD,
) -> list[Bid]:
    """Return the node's bid or refusal for each ensemble node of the request."""
    bids = []
    owner = request.deployment.owner
    for name, reasons in offers(node, ensemble, usage, owner=owner, ahead=ahead).items():
        bid = Bid(
            request=request, node=node, ensemble_node=name, verdict=Bid.Verdict.REFUSED, reasons=reasons
        )
        if not reasons:
            bid.verdict, bid.bid = Bid.Verdict.OFFERED, _signed(node, request.deployment_id, name)
        bids.append(bid)
    return bids


def _refusals(node: Node, name: str, spec: NodeSpec, ensemble: Ensemble) -> tuple[Reason, ...]:
    reasons: list[Reason] = []
    if node.peer_id in ensemble.exclude_peers:
        reasons.append(
            Reason(
                "exclusion",
                "the ensemble excludes this peer",
                f"nodes.{name}",
                needed="a peer that is not excluded",
                available=node.peer_id,
                hint="leave it out of exclude_peers",
            )
        )
    if spec.peer and spec.peer != node.peer_id:
        reasons.append(
            Reason(
                "peer",
                "pinned to another peer",
                f"nodes.{name}.peer",
                needed=spec.peer,
                available=node.peer_id,
                hint="remove `peer`, or give the peer id of a node that is connected",
            )
        )
    if not spec.peer:
        reasons += _location(node, name, node_document(spec).get("location", {}))
    for item in spec.allocations:
        allocation = ensemble.allocations[item]
        state = node.executors.get(allocation.executor, {})
        if not state.get("available"):
            here = sorted(key for key, value in node.executors.items() if value.get("available"))
            reasons.append(
                Reason(
                    "executor",
                    f"executor {allocation.executor} is not available here"
                    + (f": {state['detail']}" if state.get("detail") else ""),
                    f"allocations.{item}.executor",
                    needed=allocation.executor,
                    available=", ".join(here) or "none",
                    hint=state.get("hint", "") or "./dms doctor says what each lack costs",
                )
            )
    return tuple(reasons)


def _location(node: Node, name: str, constraint: Mapping[str, Any]) -> list[Reason]:
    def satisfies(item: Mapping[str, Any]) -> bool:
        return all(
            str(node.location.get(key, "")).lower() == str(value).lower()
            for key, value in item.items()
            if value
        )

    here = ", ".join(str(value) for value in node.location.values() if value) or "unknown"
    accept, reject = constraint.get("accept") or [], constraint.get("reject") or []
    if accept and not any(satisfies(item) for item in accept):
        return [
            Reason(
                "location",
                "this node is not where the ensemble accepts it",
                f"nodes.{name}.location.accept",
                needed=" or ".join(", ".join(map(str, item.values())) for item in accept),
                available=here,
                hint="the node's owner sets its location on the node's admin page",
            )
        ]
    if any(satisfies(item) for item in reject):
        return [
            Reason(
                "location",
                "the ensemble rejects this place",
                f"nodes.{name}.location.reject",
                needed="a place that is not rejected",
                available=here,
                hint="leave this place out of location.reject",
            )
        ]
    return []


def _signed(node: Node, ensemble_id: str, ensemble_node: str) -> dict[str, Any]:
    """Return a BidV1 with its signature over `dms-bid-` and the bid's JSON with an empty signature."""
    bid = {
        "EnsembleID": ensemble_id,
        "NodeID": ensemble_node,
        "Peer": node.peer_id,
        "PubAddress": "",
        "Location": {str(key): str(value) for key, value in node.location.items()},
        "Handle": Handle.of_did(node.identity.did).document(),
        "PromiseBid": False,
        "Signature": "",
    }
    signature = node_key().sign(BID_PREFIX + gojson.dumpb({"V1": bid}))
    return {"V1": bid | {"Signature": base64.b64encode(signature).decode()}}

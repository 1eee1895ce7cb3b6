"""Why a bid won or lost, and why bids do not go together: in words with numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from capabilities.refusal import Reason
from deployments.ensemble.model import EdgeSpec
from deployments.matching.model import Offer, Placement, Problem
from deployments.matching.search import place

# To find which constraint stands in the way each is left out once; that is done for so many.
RELAXED_MAX = 32
RELAXED_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Why:
    """What became of one bid: `won` or not, and the reason with its numbers."""

    offer: Offer
    won: bool
    reason: Reason


def explain(problem: Problem, placement: Placement) -> list[Why]:
    """Return of each bid why it won or lost, as if the rest of the placement stood."""
    if not placement.complete:
        return []
    costs = {(offer.ensemble_node, offer.provider): offer for offer in reversed(problem.offers)}
    rivals: dict[str, int] = {}
    for offer in problem.offers:
        rivals[offer.ensemble_node] = rivals.get(offer.ensemble_node, 0) + 1
    found = []
    for offer in problem.offers:
        who = placement.providers.get(offer.ensemble_node)
        if who is None:
            continue
        best = costs[offer.ensemble_node, who]
        if offer.provider == who:
            found.append(Why(offer, True, _won(offer, placement, rivals[offer.ensemble_node])))
        else:
            found.append(Why(offer, False, _blocked(problem, placement, offer) or _dearer(offer, best)))
    return found


def conflicts(problem: Problem) -> list[Reason]:
    """Return which constraints stand in the way when every node has bids and none go together.

    Each named one is enough to leave away; when no single one is, that is said.
    """
    found = []
    for edge in problem.edges[:RELAXED_MAX]:
        rest = tuple(other for other in problem.edges if other is not edge)
        if _possible(replace(problem, edges=rest)):
            found.append(
                Reason(
                    "edge",
                    f"no two bids for {edge.source} and {edge.target} keep their edge beside the rest",
                    f"edges.{edge.source}-{edge.target}",
                    needed=_asked(edge),
                    hint="ask for less of this edge, or invite peers that are nearer to each other",
                )
            )
    if problem.spread and _possible(replace(problem, spread=False)):
        found.append(
            Reason(
                "spread",
                "too few providers bid to put every node on another one",
                "spread",
                needed=f"{len(problem.wants)} providers",
                available=str(len({offer.provider for offer in problem.offers})),
                hint="leave spread away, or wait for more peers",
            )
        )
    if problem.capacity and _possible(replace(problem, capacity={})):
        found.append(
            Reason(
                "capacity",
                "no provider that bid can carry what would fall to it",
                "nodes",
                hint="each node fits somewhere, not all of them at once: ask for less, or wait for more peers",
            )
        )
    if not found:
        found.append(
            Reason(
                "together",
                "every node has bids, but no set of them keeps all edges, capacities and the spread at once",
                "nodes",
                hint="leave out more than one of these constraints",
            )
        )
    return found


def _possible(problem: Problem) -> bool:
    return place(problem, exact_steps=RELAXED_STEPS).complete


def _asked(edge: EdgeSpec) -> str:
    parts = [f"at most {edge.rtt_ms:g} ms"] if edge.rtt_ms else []
    parts += [f"at least {edge.bw_kbps:g} kbit/s"] if edge.bw_kbps else []
    return " and ".join(parts)


def _won(offer: Offer, placement: Placement, rivals: int) -> Reason:
    if rivals == 1:
        return Reason("won", "the only bid for this node", available=f"{offer.cost:.3f}")
    text = "the placement of least cost" if placement.optimal else "the least cost that was found"
    return Reason("won", f"{text} among {rivals} bids for this node", available=f"{offer.cost:.3f}")


def _dearer(offer: Offer, best: Offer) -> Reason:
    gaps = {
        name: offer.terms.get(name, 0.0) - best.terms.get(name, 0.0) for name in {*offer.terms, *best.terms}
    }
    told = [f"{name} {gap:+.3f}" for name, gap in sorted(gaps.items(), key=_size) if abs(gap) >= 0.0005]
    message = (
        f"{best.provider} costs less"
        if offer.cost > best.cost
        else f"{best.provider} goes better with the rest"
    )
    return Reason(
        "cost",
        message + (f": {', '.join(told)}" if told else ""),
        needed=f"at most {best.cost:.3f}",
        available=f"{offer.cost:.3f}",
    )


def _size(item: tuple[str, float]) -> tuple[float, str]:
    return (-abs(item[1]), item[0])


def _blocked(problem: Problem, placement: Placement, offer: Offer) -> Reason | None:
    """Return which constraint this bid would break beside the rest of the placement."""
    others = {node: who for node, who in placement.providers.items() if node != offer.ensemble_node}
    there = sorted(node for node, who in others.items() if who == offer.provider)
    if problem.spread and there:
        return Reason("spread", f"it has {there[0]} already, and the nodes are to spread", "spread")
    return _too_much(problem, offer, there) or _too_far(problem, offer, others)


def _too_much(problem: Problem, offer: Offer, there: list[str]) -> Reason | None:
    held = problem.capacity.get(offer.provider)
    if held is None:
        return None
    demands: dict[str, Mapping[str, int]] = {want.name: want.demand for want in problem.wants}
    for unit, free in sorted(held.items()):
        wanted = sum(demands.get(node, {}).get(unit, 0) for node in (*there, offer.ensemble_node))
        if wanted > free:
            return Reason(
                "capacity",
                f"it has {', '.join(there)} already, which leaves too little {unit}"
                if there
                else f"it has too little {unit} for this node alone",
                needed=f"{wanted} {unit}",
                available=f"{free} {unit}",
            )
    return None


def _too_far(problem: Problem, offer: Offer, others: Mapping[str, str]) -> Reason | None:
    for edge in problem.edges:
        ends = (edge.source, edge.target)
        if offer.ensemble_node not in ends:
            continue
        other = ends[1] if ends[0] == offer.ensemble_node else ends[0]
        peer = others.get(other)
        if peer is None or problem.links.keeps(offer.provider, peer, edge.rtt_ms, edge.bw_kbps):
            continue
        link = problem.links.between(offer.provider, peer)
        seen = [] if link.rtt_ms is None else [f"{link.rtt_ms:g} ms"]
        seen += [] if link.bw_kbps is None else [f"{link.bw_kbps:g} kbit/s"]
        least = problem.links.least_rtt_ms(offer.provider, peer)
        return Reason(
            "edge",
            f"too far from {peer}, which has {other}",
            f"edges.{edge.source}-{edge.target}",
            needed=_asked(edge),
            available=" and ".join(seen) or f"light takes {least:.1f} ms there and back",
        )
    return None

"""From bids to a placement. Pure: constraints have been answered by the bidders, cost decides here.

A bidder may win several ensemble nodes: it has answered each request knowing the ones before it, so its offers
fit together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Offer:
    """One bid for one ensemble node. `cost` is what the placement minimises; smaller is better."""

    ensemble_node: str
    provider: str
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Which provider gets which ensemble node; `missing` names the nodes nobody offered to take."""

    providers: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every ensemble node has a provider."""
        return not self.missing


def place(ensemble_nodes: Sequence[str], offers: Sequence[Offer]) -> Placement:
    """Give each ensemble node to its cheapest bidder; ties go to the provider's name, so the choice is stable."""
    best: dict[str, Offer] = {}
    for offer in offers:
        known = best.get(offer.ensemble_node)
        if known is None or (offer.cost, offer.provider) < (known.cost, known.provider):
            best[offer.ensemble_node] = offer
    return Placement(
        providers={name: best[name].provider for name in ensemble_nodes if name in best},
        missing=tuple(name for name in ensemble_nodes if name not in best),
    )

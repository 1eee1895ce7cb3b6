"""What is matched: ensemble nodes, bids, edges, and the placement that comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deployments.ensemble.model import EdgeSpec
from deployments.matching.links import Links


@dataclass(frozen=True, slots=True)
class Want:
    """An ensemble node to be placed. `demand`: what it takes, by name of the resource, in whole units."""

    name: str
    demand: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """One bid for one ensemble node. `cost` is what the placement minimises; `terms` are the parts it is made of."""

    ensemble_node: str
    provider: str
    cost: float = 0.0
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """All that a placement depends on. `capacity`: what a provider's wins may take together; one without an entry
    has answered each request knowing the ones before it, so that its offers fit together."""

    wants: Sequence[Want]
    offers: Sequence[Offer]
    edges: Sequence[EdgeSpec] = ()
    links: Links = field(default_factory=Links)
    capacity: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    spread: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Which provider gets which ensemble node. `missing`: the nodes without one, all of them when the bids do not go
    together (`conflict`). `optimal`: no placement of these bids costs less. `unmeasured`: pairs of providers whose
    edge is kept as far as is known."""

    providers: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    cost: float = 0.0
    optimal: bool = True
    conflict: bool = False
    unmeasured: tuple[tuple[str, str], ...] = ()
    steps: int = 0

    @property
    def complete(self) -> bool:
        """Whether every ensemble node has a provider."""
        return not self.missing

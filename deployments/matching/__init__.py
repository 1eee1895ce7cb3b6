"""From bids to a placement: hard constraints first, then cost. Pure; start reading here.

A *want* is an ensemble node to be placed, an *offer* what a provider bid for it. Who bids has answered for itself
(resources, location, executors, preferences); what lies between bids is decided here:

* one provider may get several ensemble nodes if its capacity carries them together, none when they are to `spread`;
* an *edge* holds when the way between its two providers is short and wide enough. Nothing is quicker than light:
  where two places are known, an edge that no cable could keep is dropped before anybody measures.

Among the placements that keep all of it the one of least total cost is taken (`cost`): for small ensembles proven
(`Placement.optimal`), beyond as good as can be found within a number of steps. The same bids and seed give the same
placement, in whatever order they came. `why` says of each bid why it won or lost.
"""

from __future__ import annotations

from deployments.matching.cost import TERMS, WEIGHTS, Traits, cost_of, weights_of
from deployments.matching.links import Link, Links
from deployments.matching.model import Offer, Placement, Problem, Want
from deployments.matching.search import place
from deployments.matching.why import Why, conflicts, explain

__all__ = [
    "TERMS",
    "WEIGHTS",
    "Link",
    "Links",
    "Offer",
    "Placement",
    "Problem",
    "Traits",
    "Want",
    "Why",
    "conflicts",
    "cost_of",
    "explain",
    "place",
    "weights_of",
]

"""Finding the cheapest placement: branch and bound, and beyond its steps improving parts of the best one found.

Within `EXACT_STEPS` a placement is proven to be the cheapest. A search that uses them up begins again with the nodes
first that were hardest to place, then takes some nodes out of the best placement, a few at a time, and places those
anew. All of it is counted in steps (one candidate looked at), so that the answer depends on bids and seed alone;
`until` is a second bound, by the clock, for machines that are slower than anybody thought.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from deployments.matching.model import Placement, Problem
from deployments.matching.state import State

EXACT_STEPS = 15_000
# So few combinations (six nodes with eight bids each) are always looked through.
SMALL = 8**6
RESTART_STEPS = 6_000
RESTARTS = 6
PART_STEPS = 1_500
PARTS = 24
PART_NODES = 4
# How often the clock is looked at, in steps.
CLOCK_STEPS = 512
NEVER = float("inf")


class _OutOfSteps(Exception):
    """The part of the search at hand has used what it was given."""


class _OutOfTime(Exception):
    """The clock says that it is enough."""


def place(
    problem: Problem,
    *,
    seed: int = 0,
    exact_steps: int | None = None,
    clock: Callable[[], float] | None = None,
    until: float = NEVER,
) -> Placement:
    """Return the cheapest placement that keeps every constraint, or which nodes have none.

    `clock` and `until` (in its seconds) end the search early; what was found by then is returned.
    """
    state = State(problem)
    missing = tuple(name for name, listed in zip(state.names, state.candidates, strict=True) if not listed)
    if missing:
        return _partly(state, missing)
    hunt = _Hunt(state, clock, until)
    if exact_steps is None:
        small = math.prod(len(listed) for listed in state.candidates) <= SMALL
        exact_steps = 2 * SMALL if small else EXACT_STEPS
    optimal = hunt.run(seed, exact_steps)
    if hunt.best is None:
        return Placement(missing=tuple(state.names), conflict=optimal, optimal=optimal, steps=hunt.steps)
    providers = {name: state.providers[who] for name, who in zip(state.names, hunt.best, strict=True)}
    return Placement(
        providers,
        cost=round(hunt.best_cost, 6),
        optimal=optimal,
        unmeasured=unmeasured(problem, providers),
        steps=hunt.steps,
    )


def unmeasured(problem: Problem, providers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of providers, source first, between which an edge asks for what nobody has measured."""
    return tuple(
        dict.fromkeys(
            (providers[edge.source], providers[edge.target])
            for edge in problem.edges
            if edge.source in providers
            and edge.target in providers
            and not problem.links.known(
                providers[edge.source], providers[edge.target], edge.rtt_ms, edge.bw_kbps
            )
        )
    )


def _partly(state: State, missing: tuple[str, ...]) -> Placement:
    """Name who would get what has offers: nothing is placed, but the reader sees what was there."""
    return Placement(
        {
            name: state.providers[listed[0][1]]
            for name, listed in zip(state.names, state.candidates, strict=True)
            if listed
        },
        missing=missing,
    )


class _Hunt:
    """One search over a state; `best` is the placement that costs least so far."""

    def __init__(self, state: State, clock: Callable[[], float] | None, until: float) -> None:
        self.state = state
        self.clock, self.until = clock, until
        self.best: list[int] | None = None
        self.best_cost = NEVER
        self.steps = 0
        self.limit = 0
        self.hard = [1.0] * len(state.names)

    def run(self, seed: int, exact_steps: int) -> bool:
        """Search; say whether the whole space was seen."""
        everything = list(range(len(self.state.names)))
        try:
            if self._within(exact_steps, self._order(everything)):
                return True
            # Where nothing was found, what was hard comes first; where something was, parts of it are made better.
            for _ in range(RESTARTS):
                if self.best is not None:
                    break
                if self._within(RESTART_STEPS, self._order(everything)):
                    return True
            self._improve(random.Random(seed))  # noqa: S311 - which nodes to look at again is no secret
        except _OutOfTime:
            self._clear()
        return False

    def _improve(self, chance: random.Random) -> None:
        state = self.state
        if self.best is None:
            return
        for _ in range(PARTS):
            first = chance.randrange(len(state.names))
            near = [other for other, _, _ in state.edges[first]]
            rest = [node for node in range(len(state.names)) if node != first and node not in near]
            part = [first, *dict.fromkeys(near), *chance.sample(rest, len(rest))][:PART_NODES]
            for node, who in enumerate(self.best):
                if node not in part:
                    state.put(node, who)
            self._within(PART_STEPS, self._order(part))
            self._clear()

    def _order(self, nodes: Sequence[int]) -> list[int]:
        """Return the nodes, hardest first, each next to one that an edge ties it to where that can be."""
        state, left, order = self.state, set(nodes), list[int]()
        placed = {node for node, who in enumerate(state.at) if who >= 0}
        while left:
            tied = [
                node for node in left if any(other in placed for other, _, _ in state.edges[node])
            ] or left
            chosen = min(
                tied,
                key=lambda node: (
                    len(state.candidates[node]) / (self.hard[node] * (1 + len(state.edges[node]))),
                    node,
                ),
            )
            order.append(chosen)
            placed.add(chosen)
            left.remove(chosen)
        return order

    def _within(self, steps: int, order: list[int]) -> bool:
        """Place `order` beside what is placed, as cheaply as can be, in so many steps; say whether it was all seen."""
        self.limit = self.steps + steps
        base = self.state.total()
        bound = [0.0] * (len(order) + 1)
        for index in reversed(range(len(order))):
            bound[index] = bound[index + 1] + self.state.least[order[index]]
        before = list(self.state.at)
        try:
            self._descend(order, 0, base, bound)
        except _OutOfSteps:
            for node, who in enumerate(self.state.at):
                if who >= 0 and before[node] < 0:
                    self.state.take(node)
            return False
        return True

    def _descend(self, order: list[int], depth: int, cost: float, bound: list[float]) -> bool:
        """Say whether something was found below."""
        state = self.state
        if depth == len(order):
            if cost < self.best_cost - 1e-9:
                self.best, self.best_cost = list(state.at), cost
            return True
        node, found = order[depth], False
        for price, who in state.candidates[node]:
            if cost + price + bound[depth + 1] >= self.best_cost - 1e-9:
                return True  # dearer ones follow; nothing here is better than what there is
            self._step()
            if state.fits(node, who):
                state.put(node, who)
                found |= self._descend(order, depth + 1, cost + price, bound)
                state.take(node)
        if not found:
            self.hard[node] += 1
        return found

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self.limit:
            raise _OutOfSteps
        if self.clock is not None and self.steps % CLOCK_STEPS == 0 and self.clock() > self.until:
            raise _OutOfTime

    def _clear(self) -> None:
        for node, who in enumerate(self.state.at):
            if who >= 0:
                self.state.take(node)

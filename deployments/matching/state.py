"""The problem in numbers: ensemble nodes and providers by index, and a partial placement that is changed in place."""

from __future__ import annotations

from collections import defaultdict

from deployments.matching.model import Problem

# Who costs what: a candidate for a node, cheapest first, ties by the provider's name.
Candidate = tuple[float, int]


class State:
    """A partial placement over a problem. Nodes and providers are numbers; `at[node]` is its provider or -1."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.names = [want.name for want in problem.wants]
        self.providers = sorted({offer.provider for offer in problem.offers})
        number = {name: index for index, name in enumerate(self.names)}
        provider = {name: index for index, name in enumerate(self.providers)}
        cheapest: dict[tuple[int, int], float] = {}
        for offer in problem.offers:
            if (node := number.get(offer.ensemble_node)) is not None:
                key = (node, provider[offer.provider])
                cheapest[key] = min(offer.cost, cheapest.get(key, offer.cost))
        self.candidates: list[list[Candidate]] = [[] for _ in self.names]
        for (node, who), cost in cheapest.items():
            self.candidates[node].append((cost, who))
        for listed in self.candidates:
            listed.sort()
        self.cost = cheapest
        self.least = [listed[0][0] if listed else 0.0 for listed in self.candidates]
        self.edges: list[list[tuple[int, float, float]]] = [[] for _ in self.names]
        for edge in problem.edges:
            if edge.source in number and edge.target in number:
                one, other = number[edge.source], number[edge.target]
                self.edges[one].append((other, edge.rtt_ms, edge.bw_kbps))
                self.edges[other].append((one, edge.rtt_ms, edge.bw_kbps))
        units = sorted({unit for held in problem.capacity.values() for unit in held})
        self.units = units
        self.demand = [[want.demand.get(unit, 0) for unit in units] for want in problem.wants]
        # A unit that a provider does not speak of is no limit.
        self.free: list[list[float] | None] = [
            [float(held.get(unit, float("inf"))) for unit in units]
            if (held := problem.capacity.get(name)) is not None
            else None
            for name in self.providers
        ]
        self.at = [-1] * len(self.names)
        self.wins: defaultdict[int, int] = defaultdict(int)
        self._kept: dict[tuple[int, int, float, float], bool] = {}

    def fits(self, node: int, who: int) -> bool:
        """Say whether `who` can have `node` beside what is placed."""
        if self.problem.spread and self.wins[who]:
            return False
        free = self.free[who]
        if free is not None:
            for left, wanted in zip(free, self.demand[node], strict=True):
                if wanted > left:
                    return False
        return all(
            self.at[other] < 0 or self.keeps(who, self.at[other], rtt_ms, bw_kbps)
            for other, rtt_ms, bw_kbps in self.edges[node]
        )

    def keeps(self, one: int, other: int, rtt_ms: float, bw_kbps: float) -> bool:
        """Say whether the way between two providers is good enough; asked once for each pair."""
        if one == other:
            return True
        key = (one, other, rtt_ms, bw_kbps) if one < other else (other, one, rtt_ms, bw_kbps)
        known = self._kept.get(key)
        if known is None:
            known = self.problem.links.keeps(self.providers[one], self.providers[other], rtt_ms, bw_kbps)
            self._kept[key] = known
        return known

    def put(self, node: int, who: int) -> None:
        """Let `who` have `node`."""
        self.at[node] = who
        self.wins[who] += 1
        free = self.free[who]
        if free is not None:
            for unit, wanted in enumerate(self.demand[node]):
                free[unit] -= wanted

    def take(self, node: int) -> int:
        """Undo `put`; return who had it."""
        who = self.at[node]
        self.at[node] = -1
        self.wins[who] -= 1
        free = self.free[who]
        if free is not None:
            for unit, wanted in enumerate(self.demand[node]):
                free[unit] += wanted
        return who

    def total(self) -> float:
        """Return what the nodes that are placed cost."""
        return sum(self.cost[node, who] for node, who in enumerate(self.at) if who >= 0)

"""`match`: 20 ensemble nodes with edges over 10,000 bids, beside one look at every bid, which nobody can do without."""

from __future__ import annotations

import os
import random
import statistics
import time

from bench.result import Result
from deployments.ensemble.model import EdgeSpec
from deployments.matching import Links, Offer, Problem, Want, place

NODES, BIDS_EACH, PROVIDERS, EDGES = 20, 500, 2_000, 25
# From edges that half the earth keeps to ones within a continent.
EDGES_MS = (200.0, 100.0, 60.0)
ROUNDS = 3
BAR_MS = 200.0
# What is found in the time there is, beside what twenty times the steps find.
LONG_STEPS = 400_000
GAP_BAR = 1.25


def problem(seed: int, edge_ms: float) -> Problem:
    """Return bids from everywhere on earth, at random prices, for an ensemble whose nodes are tied by edges."""
    chance = random.Random(seed)
    places = {f"peer-{n:04}": (chance.uniform(-55, 70), chance.uniform(-180, 180)) for n in range(PROVIDERS)}
    names, peers = [f"node-{n:02}" for n in range(NODES)], list(places)
    return Problem(
        [Want(name, {"centicores": chance.randint(50, 400)}) for name in names],
        [
            Offer(name, peer, round(chance.random(), 4))
            for name in names
            for peer in chance.sample(peers, BIDS_EACH)
        ],
        [EdgeSpec(one, other, edge_ms) for one, other in (chance.sample(names, 2) for _ in range(EDGES))],
        Links(places=places),
        {peer: {"centicores": chance.randint(200, 800)} for peer in peers},
    )


def look_at_all(asked: Problem) -> dict[str, Offer]:
    """Take the cheapest bid for each node, whether they go together or not."""
    best: dict[str, Offer] = {}
    for offer in asked.offers:
        known = best.get(offer.ensemble_node)
        if known is None or (offer.cost, offer.provider) < (known.cost, known.provider):
            best[offer.ensemble_node] = offer
    return best


def run() -> list[Result]:
    """Measure the slowest kind of ensemble; then how much dearer its placement is than a long search's."""
    seed = int(os.environ.get("DMS_BENCH_SEED", "1"))
    taken: dict[float, list[float]] = {edge_ms: [] for edge_ms in EDGES_MS}
    floors, gaps = [], []
    for number in range(ROUNDS):
        for edge_ms in EDGES_MS:
            asked = problem(seed + number, edge_ms)
            started = time.perf_counter()
            found = place(asked)
            taken[edge_ms].append((time.perf_counter() - started) * 1000)
            if not found.complete:
                raise AssertionError(f"nothing was found for edges of {edge_ms:g} ms, seed {seed + number}")
            started = time.perf_counter()
            look_at_all(asked)
            floors.append((time.perf_counter() - started) * 1000)
            if not found.optimal:
                gaps.append(found.cost / place(asked, exact_steps=LONG_STEPS).cost)
    slowest, floor = max(statistics.median(each) for each in taken.values()), statistics.median(floors)
    gap = statistics.mean(gaps) if gaps else 1.0
    return [
        Result("match_20_nodes_10000_bids", slowest, floor, "ms", BAR_MS, slowest <= BAR_MS),
        Result("match_cost_of_long_search", gap, 1.0, "times", GAP_BAR, gap <= GAP_BAR),
    ]

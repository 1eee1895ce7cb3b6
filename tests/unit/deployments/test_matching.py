"""Placement: every constraint is kept, the least cost is found, order does not matter, and each bid hears why."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.ensemble.model import EdgeSpec
from deployments.matching import (
    TERMS,
    WEIGHTS,
    Link,
    Links,
    Offer,
    Placement,
    Problem,
    Traits,
    Want,
    conflicts,
    cost_of,
    explain,
    place,
    weights_of,
)
from deployments.matching.links import LIGHT_KM_MS, distance_km

BERLIN, TOKYO, SYDNEY = (52.52, 13.41), (35.68, 139.69), (-33.87, 151.21)


def keeps_all(problem: Problem, providers: dict[str, str]) -> bool:
    """Say by the plain meaning of the words whether a placement keeps every constraint."""
    offered = {(offer.ensemble_node, offer.provider) for offer in problem.offers}
    if any(item not in offered for item in providers.items()):
        return False
    if problem.spread and len(set(providers.values())) < len(providers):
        return False
    for who, held in problem.capacity.items():
        for unit, free in held.items():
            if sum(w.demand.get(unit, 0) for w in problem.wants if providers[w.name] == who) > free:
                return False
    for edge in problem.edges:
        one, other = providers[edge.source], providers[edge.target]
        if one != other:
            link = problem.links.between(one, other)
            if edge.rtt_ms and link.rtt_ms is not None and link.rtt_ms > edge.rtt_ms:
                return False
            if edge.bw_kbps and link.bw_kbps is not None and link.bw_kbps < edge.bw_kbps:
                return False
    return True


def brute_force(problem: Problem) -> float | None:
    """Return the least cost by looking at every placement there is; None when none keeps everything."""
    names = [want.name for want in problem.wants]
    lists = [[offer for offer in problem.offers if offer.ensemble_node == name] for name in names]
    costs = [
        sum(offer.cost for offer in chosen)
        for chosen in itertools.product(*lists)
        if keeps_all(problem, {offer.ensemble_node: offer.provider for offer in chosen})
    ]
    return min(costs, default=None)


def least(problem: Problem) -> float | None:
    """As `brute_force`, for edges and capacities of cpu alone: a branch ends at the first node that does not go."""
    names = [want.name for want in problem.wants]
    demand = {want.name: want.demand["cpu"] for want in problem.wants}
    bids = {name: [o for o in problem.offers if o.ensemble_node == name] for name in names}
    costs: list[float] = []

    def goes(placed: dict[str, str], name: str, who: str) -> bool:
        if problem.spread and who in placed.values():
            return False
        taken = sum(demand[node] for node, there in placed.items() if there == who)
        return taken + demand[name] <= problem.capacity[who]["cpu"] and all(
            placed[edge.source] == who
            or (problem.links.between(placed[edge.source], who).rtt_ms or 0) <= edge.rtt_ms
            for edge in problem.edges
            if edge.target == name and edge.source in placed
        )

    def deeper(placed: dict[str, str], cost: float) -> None:
        if len(placed) == len(names):
            costs.append(cost)
            return
        name = names[len(placed)]
        for bid in bids[name]:
            if goes(placed, name, bid.provider):
                deeper(placed | {name: bid.provider}, cost + bid.cost)

    deeper({}, 0.0)
    return min(costs, default=None)


@st.composite
def problems(draw: st.DrawFn, nodes: int = 4, bidders: int = 5) -> Problem:
    names = [f"n{index}" for index in range(draw(st.integers(1, nodes)))]
    who = [f"p{index}" for index in range(draw(st.integers(1, bidders)))]
    wants = [Want(name, {"cpu": draw(st.integers(0, 4)), "ram": draw(st.integers(0, 4))}) for name in names]
    offers = [
        Offer(name, peer, draw(st.integers(0, 20)) / 4)
        for name in names
        for peer in who
        if draw(st.integers(0, 3))
    ]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    edges = [
        EdgeSpec(one, other, draw(st.sampled_from([0, 5, 20])), draw(st.sampled_from([0, 100])))
        for one, other in draw(st.lists(pairs, max_size=4))
        if one != other
    ]
    measured = {
        (one, other): Link(draw(st.sampled_from([None, 1, 10, 50])), draw(st.sampled_from([None, 50, 500])))
        for one, other in itertools.combinations(who, 2)
        if draw(st.booleans())
    }
    capacity = {
        peer: {"cpu": draw(st.integers(0, 9)), "ram": draw(st.integers(0, 9))}
        for peer in who
        if draw(st.booleans())
    }
    return Problem(wants, offers, edges, Links(measured), capacity, draw(st.booleans()))


@given(problems())
def test_what_is_found_is_the_least_that_looking_at_everything_finds(problem: Problem) -> None:
    best, found = brute_force(problem), place(problem)
    assert found.optimal
    if best is None:
        assert not found.complete
        offered = {offer.ensemble_node for offer in problem.offers}
        assert found.conflict == all(want.name in offered for want in problem.wants)
    else:
        assert found.complete
        assert keeps_all(problem, dict(found.providers))
        assert found.cost == pytest.approx(best)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_six_nodes_and_eight_bids_each_are_proven(number: int, spread: bool) -> None:
    chance = random.Random(number)
    names, who = [f"n{i}" for i in range(6)], [f"p{i}" for i in range(8)]
    measured = {pair: Link(chance.choice([1, 10, 60])) for pair in itertools.combinations(who, 2)}
    problem = Problem(
        [Want(name, {"cpu": chance.randint(1, 3)}) for name in names],
        [Offer(name, peer, round(chance.random(), 3)) for name in names for peer in who],
        [EdgeSpec(one, other, 20) for one, other in itertools.pairwise(names)],
        Links(measured),
        {peer: {"cpu": chance.randint(2, 7)} for peer in who},
        spread,
    )
    best, found = least(problem), place(problem)
    assert found.optimal
    assert found.complete == (best is not None)
    if best is not None:
        assert found.cost == pytest.approx(best)
        assert keeps_all(problem, dict(found.providers))


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_bids_does_not_matter(problem: Problem, chance: random.Random) -> None:
    mixed = list(problem.offers)
    chance.shuffle(mixed)
    assert place(replace(problem, offers=mixed)) == place(problem)


@given(problems(), st.integers(0, 60))
def test_however_few_steps_it_takes_what_is_answered_is_right(problem: Problem, steps: int) -> None:
    best, found = brute_force(problem), place(problem, exact_steps=steps, seed=steps)
    if found.complete:
        assert keeps_all(problem, dict(found.providers))
        assert best is not None
        assert found.cost >= best - 1e-6
        assert not found.optimal or found.cost == pytest.approx(best)
    elif found.conflict:
        assert best is None


@given(problems())
def test_every_bid_hears_why_and_one_for_each_node_wins(problem: Problem) -> None:
    found = place(problem)
    told = explain(problem, found)
    if not found.complete:
        assert told == []
        return
    assert [why.offer for why in told] == list(problem.offers)
    assert sorted(why.offer.ensemble_node for why in told if why.won) == sorted(found.providers)
    for why in told:
        swapped = dict(found.providers) | {why.offer.ensemble_node: why.offer.provider}
        blocked = why.reason.check in ("spread", "capacity", "edge")
        assert blocked == (not why.won and not keeps_all(problem, swapped))
        if why.reason.check == "cost":
            assert why.offer.cost >= next(
                offer.cost
                for offer in problem.offers
                if (offer.ensemble_node, offer.provider)
                == (why.offer.ensemble_node, found.providers[why.offer.ensemble_node])
            )


@given(problems())
def test_bids_that_do_not_go_together_are_told_what_stands_in_the_way(problem: Problem) -> None:
    if not place(problem).conflict:
        return
    told = conflicts(problem)
    assert told
    for reason in told:
        if reason.check == "spread":
            assert brute_force(replace(problem, spread=False)) is not None
        elif reason.check == "capacity":
            assert brute_force(replace(problem, capacity={})) is not None
        elif reason.check == "edge":
            assert reason.needed


def test_nobody_is_left_out_silently() -> None:
    found = place(Problem([Want("a"), Want("b")], [Offer("a", "p")]))
    assert (found.missing, dict(found.providers), found.complete) == (("b",), {"a": "p"}, False)
    assert place(Problem([], [])) == Placement(steps=place(Problem([], [])).steps)


def test_a_provider_may_win_several_unless_they_are_to_spread() -> None:
    offers = [Offer("a", "p", 1), Offer("b", "p", 1), Offer("a", "q", 2), Offer("b", "q", 2)]
    wants = [Want("a", {"cpu": 2}), Want("b", {"cpu": 2})]
    together = Problem(wants, offers)
    assert dict(place(together).providers) == {"a": "p", "b": "p"}
    assert place(replace(together, spread=True)).cost == 3
    tight = replace(together, capacity={"p": {"cpu": 3}})
    assert place(tight).cost == 3
    lost = next(why for why in explain(tight, place(tight)) if not why.won and why.offer.provider == "p")
    assert (lost.reason.check, lost.reason.needed, lost.reason.available) == ("capacity", "4 cpu", "3 cpu")


def test_light_is_the_first_to_judge_an_edge() -> None:
    links = Links(places={"berlin": BERLIN, "tokyo": TOKYO, "sydney": SYDNEY})
    assert links.least_rtt_ms("berlin", "tokyo") == pytest.approx(2 * 8_918 / LIGHT_KM_MS, rel=0.01)
    offers = [Offer("a", "berlin", 1), Offer("b", "tokyo", 0), Offer("b", "berlin", 5)]
    problem = Problem([Want("a"), Want("b")], offers, [EdgeSpec("a", "b", 50)], links)
    found = place(problem)
    assert dict(found.providers) == {"a": "berlin", "b": "berlin"}
    lost = next(why for why in explain(problem, found) if why.offer.provider == "tokyo")
    assert "light takes 59" in lost.reason.available
    far = replace(problem, edges=[EdgeSpec("a", "b", 80)])
    assert place(far).unmeasured == (("berlin", "tokyo"),)
    measured = replace(far, links=replace(links, measured={("tokyo", "berlin"): Link(rtt_ms=240)}))
    assert dict(place(measured).providers) == {"a": "berlin", "b": "berlin"}


@given(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)), st.tuples(st.floats(-90, 90), st.floats(-180, 180))
)
def test_distances_are_those_of_a_ball(one: tuple[float, float], other: tuple[float, float]) -> None:
    assert distance_km(one, other) == pytest.approx(distance_km(other, one))
    assert 0 <= distance_km(one, other) <= 20_016
    assert distance_km(one, one) == 0


def test_the_clock_ends_a_search_that_goes_on() -> None:
    names, who = [f"n{i}" for i in range(12)], [f"p{i}" for i in range(40)]
    chance = random.Random(1)
    problem = Problem(
        [Want(name, {"cpu": 1}) for name in names],
        # Everybody wants the same providers: which of them gets the best one takes long to prove.
        [Offer(name, peer, index + chance.random()) for name in names for index, peer in enumerate(who)],
        spread=True,
    )
    now = itertools.count()
    found = place(problem, clock=lambda: float(next(now)), until=3)
    assert not found.optimal
    assert found.complete
    assert keeps_all(problem, dict(found.providers))


def test_what_is_known_of_a_bid_is_what_it_costs() -> None:
    good = Traits(Decimal(1), 1, 0.1, 4, 1, 0.1)
    bad = Traits(Decimal(2), 200, 0.9, 0.5, 0.5, 0.9)
    cheap, dear = cost_of(good, Decimal(2)), cost_of(bad, Decimal(2))
    assert set(cheap) == set(dear) == set(TERMS) == set(WEIGHTS)
    assert all(cheap[name] < dear[name] for name in TERMS)
    assert sum(cost_of(Traits(), Decimal(0)).values()) < sum(dear.values())
    assert sum(cost_of(bad, Decimal(2), dict.fromkeys(WEIGHTS, 0.0)).values()) == 0


def test_weights_are_chosen_and_mistakes_in_them_named() -> None:
    assert weights_of({}) == (dict(WEIGHTS), [])
    chosen, faults = weights_of({"price": 9, "speed": "0", "luck": 1, "load": "much", "rtt": -1})
    assert (chosen["price"], chosen["speed"], chosen["load"]) == (9.0, 0.0, WEIGHTS["load"])
    assert [fault.path for fault in faults] == ["weights.luck", "weights.load", "weights.rtt"]

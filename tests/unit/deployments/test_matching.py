"""Placement: the cheapest bidder wins, nobody is left out silently, order does not matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployments.matching import Offer, place

NAMES = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, min_size=1)
OFFERS = st.lists(
    st.builds(
        Offer,
        ensemble_node=st.sampled_from(["a", "b", "c", "d", "x"]),
        provider=st.sampled_from(["p1", "p2", "p3"]),
        cost=st.integers(0, 5).map(float),
    ),
    max_size=20,
)


@given(NAMES, OFFERS)
def test_each_node_is_either_placed_or_missing(names: list[str], offers: list[Offer]) -> None:
    placement = place(names, offers)
    assert set(placement.providers) | set(placement.missing) == set(names)
    assert not set(placement.providers) & set(placement.missing)
    assert placement.complete == (not placement.missing)


@given(NAMES, OFFERS)
def test_nobody_offered_less_than_the_winner(names: list[str], offers: list[Offer]) -> None:
    for name, provider in place(names, offers).providers.items():
        costs = {offer.cost for offer in offers if offer.ensemble_node == name}
        assert Offer(name, provider, min(costs)) in offers


@given(NAMES, OFFERS, st.randoms())
def test_the_order_of_bids_does_not_matter(names: list[str], offers: list[Offer], random) -> None:
    shuffled = list(offers)
    random.shuffle(shuffled)
    assert place(names, shuffled).providers == place(names, offers).providers

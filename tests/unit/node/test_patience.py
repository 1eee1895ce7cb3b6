"""How many refusals an address may cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.refusal import Refusal
from node.patience import ADDRESSES_MAX, Patience, whose


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_is_refused_too_often_has_to_wait_and_is_told_how_long():
    clock = Clock()
    patience = Patience(0.5, 3, clock)
    for _ in range(3):
        patience.check("192.0.2.1")
        patience.refused("192.0.2.1")
    with pytest.raises(Refusal) as refused:
        patience.check("192.0.2.1")
    assert (refused.value.status, refused.value.members["retry_after_s"]) == (429, 2)
    patience.check("192.0.2.2")
    clock.now = 2.0
    patience.check("192.0.2.1")


def test_a_network_of_ipv6_is_one_address():
    assert whose("2001:db8::1") == whose("2001:db8::ffff:1") != whose("2001:db8:0:1::1")
    assert whose("unix") == "unix"


def test_it_remembers_a_bounded_number_of_addresses():
    patience = Patience(1, 10, Clock())
    for _ in range(5):
        patience.refused("192.0.2.1")
    for number in range(ADDRESSES_MAX + 100):
        patience.refused(f"host-{number}")
    assert len(patience._left) <= ADDRESSES_MAX + 1
    assert "192.0.2.1" in patience._left


@given(st.lists(st.floats(0, 100), max_size=50))
def test_never_more_than_the_burst_and_what_the_time_gives(pauses):
    clock = Clock()
    patience = Patience(2, 5, clock)
    heard = 0
    for pause in pauses:
        clock.now += pause
        try:
            patience.check("x")
        except Refusal:
            continue
        patience.refused("x")
        heard += 1
    assert heard <= 5 + 2 * clock.now + 1

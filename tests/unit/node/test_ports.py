"""Ports: range, all or nothing, random draws; the shapes of the reference's tests."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.refusal import Refusal
from node.ports import PortRange, draw, static_reasons

RANDOM = Random(7)


def nothing_busy(port: int) -> bool:
    return False


def take(count: int, allowed: PortRange, held: set[int]) -> list[int]:
    ports = draw(count, held=held, busy=nothing_busy, allowed=allowed, random=RANDOM)
    held.update(ports)
    return ports


def test_the_range_is_clamped_to_legal_ports() -> None:
    assert str(PortRange(16_384, 65_536)) == "16384-65535"
    assert 65_535 in PortRange(16_384, 65_536)
    assert 65_536 not in PortRange(16_384, 65_536)
    with pytest.raises(ValueError, match="empty"):
        PortRange(65_536, 65_536)


def test_five_and_then_three_of_a_hundred() -> None:
    allowed, held = PortRange(8000, 8100), set[int]()
    first, second = take(5, allowed, held), take(3, allowed, held)
    assert len(set(first) | set(second)) == 8
    assert all(port in allowed for port in held)


def test_a_range_of_exactly_n_serves_n_and_no_more() -> None:
    allowed, held = PortRange(8001, 8005), set[int]()
    assert sorted(take(5, allowed, held)) == [8001, 8002, 8003, 8004, 8005]
    with pytest.raises(Refusal, match="failed to allocate 1 ports"):
        take(1, allowed, held)


def test_too_few_leaves_the_rest_free() -> None:
    allowed, held = PortRange(8000, 8005), set[int]()
    take(4, allowed, held)
    with pytest.raises(Refusal, match="failed to allocate 3 ports: 2 of"):
        take(3, allowed, held)
    assert len(allowed.free(held)) == 2


def test_no_ports_at_all_cannot_be_drawn() -> None:
    with pytest.raises(Refusal, match="cannot allocate 0 ports"):
        take(0, PortRange(8000, 8005), set())


def test_every_reason_is_given_at_once() -> None:
    reasons = static_reasons(
        [80, 8001, 8002, 8003, 8003, 8004],
        allocation_id="mine",
        held={8001: "other", 8004: "mine"},
        busy=lambda port: port == 8002,
        allowed=PortRange(8000, 8010),
    )
    assert [reason.message.partition(": ")[2] for reason in reasons] == [
        "port 80 is outside allowed range [8000-8010]",
        "port 8001 is already reserved",
        "port 8002 is not free: something on this machine uses it",
        "port 8003 is asked for twice",
    ]


@given(st.integers(1, 20), st.sets(st.integers(8000, 8020)), st.sets(st.integers(8000, 8020)), st.integers())
def test_a_draw_is_free_distinct_and_fails_only_when_it_must(
    count: int, held: set[int], busy: set[int], seed: int
) -> None:
    allowed = PortRange(8000, 8020)
    usable = set(range(8000, 8021)) - held - busy
    try:
        ports = draw(count, held=held, busy=busy.__contains__, allowed=allowed, random=Random(seed))
    except Refusal as refusal:
        assert count > len(usable)
        assert refusal.reasons
    else:
        assert len(set(ports)) == count
        assert set(ports) <= usable


def test_draws_are_random_over_the_whole_range() -> None:
    allowed = PortRange(16_384, 65_535)
    drawn = [draw(1, held=(), busy=nothing_busy, allowed=allowed, random=RANDOM)[0] for _ in range(50)]
    assert len(set(drawn)) > 40
    assert max(drawn) - min(drawn) > 20_000

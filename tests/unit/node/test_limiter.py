"""The limiter counts running handlers by class and topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.refusal import Refusal
from node.limiter import Limiter, Limits

SMALL = Limits(
    public_allow=1,
    public_acquire=2,
    broadcast_allow=2,
    broadcast_acquire=3,
    topic_default=1,
    topics={"wide": 2},
)


def test_the_reference_shape_of_broadcasts():
    limiter = Limiter(SMALL)
    limiter.acquire("/broadcast/x", "wide")
    limiter.acquire("/broadcast/x", "wide")
    with pytest.raises(Refusal, match="wide") as caught:
        limiter.acquire("/broadcast/x", "wide")
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.status == 429
    limiter.acquire("/broadcast/x", "other")
    for topic in ("other", "third", "wide"):
        with pytest.raises(Refusal, match="rate limit exceeded"):
            limiter.acquire("/broadcast/x", topic)


def test_acquire_takes_more_than_allow_shows():
    limiter = Limiter(SMALL)
    assert limiter.allow("/public/hello")
    limiter.acquire("/public/hello")
    assert not limiter.allow("/public/status")
    limiter.acquire("/public/status")
    with pytest.raises(Refusal, match="at most 2 may"):
        limiter.acquire("/public/hello")
    limiter.release("/public/hello")
    limiter.acquire("/public/hello")


def test_other_behaviors_are_not_limited():
    limiter = Limiter(SMALL)
    for _ in range(10):
        limiter.acquire("/dms/node/peers/ping")
        assert limiter.allow("/dms/node/peers/ping")
    assert limiter.active() == {"public": 0, "broadcast": 0}


def test_releasing_what_is_not_held_changes_nothing():
    limiter = Limiter(SMALL)
    limiter.release("/broadcast/x", "unknown")
    limiter.release("/public/hello")
    assert limiter.active() == {"public": 0, "broadcast": 0}


def test_limits_can_be_exchanged_while_handlers_run():
    limiter = Limiter(SMALL)
    limiter.acquire("/public/hello")
    limiter.configure(Limits(public_allow=1, public_acquire=1))
    with pytest.raises(Refusal):
        limiter.acquire("/public/hello")


@pytest.mark.parametrize(
    "numbers", [{"public_allow": 0}, {"public_allow": 5, "public_acquire": 4}, {"topic_default": 0}]
)
def test_contradicting_limits_are_refused(numbers):
    with pytest.raises(ValueError, match="must be"):
        Limits(**numbers)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "b", "wide"])), max_size=60))
def test_the_counts_never_leave_their_bounds(steps):
    limiter = Limiter(SMALL)
    held: list[str] = []
    for acquire, topic in steps:
        path = "/broadcast/x" if topic else "/public/x"
        if acquire:
            try:
                limiter.acquire(path, topic)
                held.append(topic)
            except Refusal:
                pass
        elif topic in held:
            limiter.release(path, topic)
            held.remove(topic)
        active = limiter.active()
        assert active["public"] == held.count("") <= 2
        assert active["broadcast"] == sum(1 for item in held if item) <= 3
        assert active.get("wide", 0) <= 2
        assert active.get("a", 0) <= 1

"""Numbers, times and states in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.models import Allocation, Bid, Deployment
from dmsweb.pages.templatetags.dms import sentence
from node.choices import STATES, state_of
from node.meters import Meter
from node.models import Reservation
from node.words import GIB, cores, gib, short, since, span

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (1.23, "1.2 s"),
        (59, "59 s"),
        (60, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (3 * 86_400 + 3600, "3 d"),
        (-5, "0.0 s"),
    ],
)
def test_span(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (4, "4 s ago"),
        (90, "1 min ago"),
        (7200, "2 h ago"),
        (-65, "in 1 min"),
        (200_000, "2 d ago"),
    ],
)
def test_since(seconds, text):
    assert since(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (GIB, "1"),
        (GIB // 2, "0.5"),
        (int(39.7 * GIB), "39.7"),
        (100 * GIB, "100"),
        (1500 * GIB, "1,500"),
        (1, "< 0.01"),
    ],
)
def test_gib(value, text):
    assert gib(value) == text


def test_cores():
    assert [cores(value) for value in (0, 5, 100, 720, 1000)] == ["0", "0.05", "1", "7.2", "10"]


def test_ids_are_shortened_in_the_middle():
    assert short("did:key:z6MkabcdefghijG2jQ") == "did:key:z6Mk…G2jQ"
    assert short("81c0aaaaaaaaaaaa77f2") == "81c0…77f2"
    assert short("short") == "short"


def test_every_stored_state_has_a_look():
    for choices in (Deployment.Status, Allocation.Status, Bid.Verdict, Reservation.State):
        for value in choices.values:
            assert value.lower() in STATES, value


def test_the_rules_colours():
    moving = {"Preparing", "Committing", "Provisioning", "Updating", "ShuttingDown"}
    assert {(state_of(name).colour, state_of(name).moving) for name in moving} == {("blue", True)}
    assert {state_of(name).colour for name in ("Running", "Completed")} == {"green"}
    assert {state_of(name).colour for name in ("restarting", "draining", "suspected")} == {"orange"}
    assert {state_of(name).colour for name in ("Failed", "gone", "refused")} == {"red"}
    assert {state_of(name).colour for name in ("waiting", "queued", "something new")} == {"grey"}


amounts = st.integers(min_value=0, max_value=1 << 50)


@given(amounts, amounts, amounts, amounts)
def test_a_meter_never_leaves_its_bar(total, allocated, committed, others):
    reading = Meter("CPU", total, allocated, committed, others, "GiB", "")
    end = 0.0
    for part in reading.segments:
        assert part.start >= end - 0.02
        end = part.start + part.width
    assert end <= 100.02
    assert reading.free >= 0


def test_a_meter_says_its_numbers():
    reading = Meter("CPU", 1600, 720, 190, 100, "cores", "")
    assert reading.text == "7.2 of 16 cores allocated · 1.9 committed · 1 used by others"
    assert [part.kind for part in reading.segments] == ["allocated", "committed", "others"]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ({"message": "too small", "needed": "2", "available": "1"}, "too small (2 wanted, 1 available)"),
        ({"message": "2 needed, 1 there", "needed": "2", "available": "1"}, "2 needed, 1 there"),
        ({"check": "ram"}, "ram"),
        ("plain", "plain"),
    ],
)
def test_a_failed_check_says_nothing_twice(reason, text):
    assert sentence(reason) == text

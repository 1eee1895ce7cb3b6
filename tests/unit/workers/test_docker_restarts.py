"""Whether an end belongs to the engine's restart, at the edges of the times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workers.executors.docker.restarts import asked_to_end, between

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("started", "ended", "expected"),
    [(-100, -1, True), (-100, 15, True), (-100, 16, False), (0, 1, False), (5, 6, False)],
)
def test_it_ran_before_the_engine_began(started: float, ended: float, expected: bool) -> None:
    assert between(BEGAN, at(started), at(ended)) is expected


@pytest.mark.parametrize(
    ("booted", "ended", "expected"),
    [
        (-9_000, -29, True),
        (-9_000, -31, False),
        (-20, -300, True),
        (-20, -601, False),
        (-20, -10, True),
        # The machine's start says nothing of what ended after it.
        (-100, -50, False),
    ],
)
def test_it_ended_shortly_before_the_engine_began(booted: float, ended: float, expected: bool) -> None:
    assert asked_to_end(BEGAN, at(booted), at(ended)) is expected

"""Everything but the database is killed at random moments: nothing acknowledged is lost, nothing runs twice."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.chaos import storm
from bench.chaos_plan import ENGINE, KINDS, PROCESSES, ROUND_S, WIPE, plan
from deployments.ensemble.parse import parse
from tests.support.require import require

SEED = 1


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 40))
@settings(max_examples=30)
def test_a_plan_is_the_same_for_the_same_seed_and_breaks_everything(
    seed: int, rounds: int, count: int
) -> None:
    made = plan(seed, rounds=rounds, deployments=count)
    assert made == plan(seed, rounds=rounds, deployments=count)
    assert len(made.submissions()) == len({one.name for one in made.submissions()}) == count
    for part in made.rounds:
        faults = Counter(one.what for one in part.injections)
        assert set(faults) - set(ENGINE) == {*PROCESSES, WIPE}
        assert sum(faults[what] for what in ENGINE) == 1
        moments = [one.at_s for one in part.injections] + [one.at_s for one in part.submissions]
        assert all(0 < moment <= ROUND_S for moment in moments)
    restores = [one.live_restore for part in made.rounds for one in part.injections if one.what in ENGINE]
    assert restores == [number % 2 == 0 for number in range(rounds)]


def test_every_kind_of_the_plan_is_a_valid_ensemble() -> None:
    made = plan(SEED)
    assert {one.kind for one in made.submissions()} == set(KINDS)
    for one in made.submissions():
        assert parse(json.dumps(one.ensemble)).errors == ()


@pytest.mark.xdist_group("own-engine")
@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("docker", "root", "assets", "bwrap"):
        require(name)
    said: list[str] = []
    report = storm(plan(SEED), said.append)
    with capsys.disabled():
        print("\n" + "\n".join(report.lines()))
    assert report.faults == []
    assert report.acknowledged == 30
    assert len(report.injected) == 18
    assert report.looks > 50

"""The table of arrows says what the design says."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from django.db.models import Model
from hypothesis import given
from hypothesis import strategies as st

from deployments import states
from deployments.models import Allocation, Deployment


def test_the_table_knows_every_stored_status() -> None:
    assert set(states.ARROWS) == set(Deployment.Status.values)
    assert set(states.ALLOCATION_ARROWS) == set(Allocation.Status.values)


@pytest.mark.parametrize(
    ("model", "arrows"), [(Deployment, states.ARROWS), (Allocation, states.ALLOCATION_ARROWS)]
)
def test_the_table_in_the_docstring_is_the_data(
    model: type[Model], arrows: Mapping[str, frozenset[str]]
) -> None:
    told = re.findall(r"^ {8}(\w+) -> (.+)$", model.__doc__ or "", re.MULTILINE)
    assert {source: set(re.findall(r"\w+", following)) - {"terminal"} for source, following in told} == arrows


def test_terminal_states_have_no_way_out() -> None:
    assert {states.COMPLETED, states.FAILED} == states.TERMINAL
    assert not any(states.legal(source, target) for source in states.TERMINAL for target in states.ARROWS)


def test_each_unfinished_state_can_be_shut_down_or_is_shutting_down() -> None:
    for state in states.UNFINISHED - {states.SHUTTING_DOWN}:
        assert states.legal(state, states.SHUTTING_DOWN), state


def test_every_state_is_reachable_and_every_unfinished_one_can_end() -> None:
    reached, frontier = {states.INITIAL}, [states.INITIAL]
    while frontier:
        for following in states.ARROWS[frontier.pop()]:
            if following not in reached:
                reached.add(following)
                frontier.append(following)
    assert reached == set(states.ARROWS)
    for state in states.UNFINISHED:
        assert _ends(state, set())


def _ends(state: str, seen: set[str]) -> bool:
    if state in states.TERMINAL:
        return True
    return any(_ends(following, seen | {state}) for following in states.ARROWS[state] - seen)


@given(st.text(max_size=12), st.sampled_from(sorted(states.ARROWS)))
def test_unknown_states_have_no_arrows(name: str, target: str) -> None:
    if name not in states.ARROWS:
        assert not states.legal(name, target)

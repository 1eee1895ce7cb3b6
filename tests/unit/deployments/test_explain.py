"""Reasons as people read them: every member there, numbers once, a hint for every named cause."""

from __future__ import annotations

import pytest

from capabilities.refusal import Reason
from deployments.explain import MEMBERS, line, not_placed, sentence, shortage, too_late
from deployments.failures import CAUSES, failure_line
from workers.executors.base import Cause

CPU = {
    "check": "cpu",
    "message": "cpu: 4 cores needed, 1.5 cores available",
    "needed": "4 cores",
    "available": "1.5 cores",
}


def test_a_line_has_every_member() -> None:
    made = line(Reason("cpu", "too few", needed="2", available="1"), subject="here", peer="box")
    assert tuple(made) == MEMBERS
    assert (made["subject"], made["peer"], made["path"]) == ("here", "box", "")
    assert line(Reason("x", "y", path="nodes.a"))["subject"] == "nodes.a"


def test_numbers_are_said_once() -> None:
    assert sentence(CPU) == CPU["message"]
    assert (
        sentence({"message": "too few", "needed": "2", "available": "1"}) == "too few (2 wanted, 1 available)"
    )
    assert shortage([CPU, CPU]) == "4 cores wanted, 1.5 cores free"
    assert shortage(
        [{"check": "draining", "message": "no new work", "needed": "a", "available": "b"}]
    ).startswith("no new")


def test_not_placed_says_how_much_more_there_is_to_say() -> None:
    assert not_placed(("a",), []) == "not placed: nobody answered for a"
    assert not_placed(("a", "b"), [CPU]) == f"not placed: a, b: {CPU['message']}"
    assert not_placed(("a",), [CPU, CPU, CPU]).endswith("(and 2 more reasons)")


def test_a_deadline_names_what_was_waited_for() -> None:
    waited = [{"subject": f"n.{name}", "peer": "box", "available": "image 62 %"} for name in "abcd"]
    assert too_late("Provisioning", waited) == (
        "the deadline passed while Provisioning: waited for "
        "n.a (image 62 %), n.b (image 62 %), n.c (image 62 %) and 1 more"
    )
    assert too_late("Preparing", []) == "the deadline passed while Preparing"


@pytest.mark.parametrize("cause", sorted({*map(str, Cause), "exited"} - {"completed", "stopped"}))
def test_every_cause_has_its_hint(cause: str) -> None:
    assert cause in CAUSES
    made = failure_line(subject="here.one", peer="box", deployment="d" * 64, cause=cause, exit_code=None)
    assert tuple(made) == MEMBERS
    assert all(made[member] for member in MEMBERS if member != "path")
    assert "{" not in made["hint"]


def test_a_limit_is_named_with_its_size() -> None:
    spec = {"resources": {"ram": {"size": 64 << 20}}}
    made = failure_line(subject="here.one", peer="box", deployment="d", cause="oom_killed", spec=spec)
    assert made["available"] == "a limit of 64 MiB"
    assert "allocations.one.resources.ram.size" in made["hint"]
    assert (
        failure_line(subject="a.b", peer="", deployment="", cause="exit_code", exit_code=3)["available"]
        == "exit code 3"
    )

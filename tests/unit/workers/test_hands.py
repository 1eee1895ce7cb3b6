"""The worker's own threads: nothing is done twice at once, one fault takes nobody along, and the limit holds."""

from __future__ import annotations

import threading

import pytest

from tests.support.services import wait_for
from workers.hands import Hands

pytestmark = pytest.mark.django_db

WAIT_S = 10


def test_what_is_in_hand_is_not_taken_again() -> None:
    hands, gate, begun = Hands("test", limit=4, idle_s=0.01), threading.Event(), threading.Event()
    done: list[str] = []

    def slow() -> None:
        begun.set()
        gate.wait(WAIT_S)
        done.append("slow")

    assert hands.take("a", slow)
    assert begun.wait(WAIT_S)
    assert not hands.take("a", slow)
    assert hands.take("b", lambda: done.append("quick"))
    wait_for(lambda: done == ["quick"], what="the quick one passing the slow one")
    gate.set()
    wait_for(lambda: done == ["quick", "slow"], what="the slow one")
    wait_for(lambda: hands.take("a", lambda: done.append("again")), what="the key being free again")
    wait_for(lambda: done[-1] == "again", what="the second turn")


def test_a_fault_is_logged_and_the_next_work_is_done(caplog: pytest.LogCaptureFixture) -> None:
    hands, done = Hands("test", limit=1), threading.Event()
    hands.take("bad", lambda: 1 / 0)
    hands.take("good", done.set)
    assert done.wait(WAIT_S)
    assert "ZeroDivisionError" in caplog.text


def test_never_more_than_the_limit_and_everything_is_done() -> None:
    hands, lock, gate = Hands("limited", limit=3, idle_s=0.01), threading.Lock(), threading.Event()
    busy, most, done = 0, 0, 0

    def work() -> None:
        nonlocal busy, most, done
        with lock:
            busy += 1
            most = max(most, busy)
        gate.wait(WAIT_S)
        with lock:
            busy -= 1
            done += 1

    for number in range(20):
        assert hands.take(number, work)
    wait_for(lambda: busy == 3, what="three at work")
    gate.set()
    wait_for(lambda: done == 20, what="all work")
    assert most == 3
    wait_for(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("limited-")], what="their end"
    )


def test_a_machine_without_threads_refuses_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hands, done = Hands("test", limit=1), threading.Event()

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        assert not hands.take("a", done.set)
    assert hands.take("a", done.set)
    assert done.wait(WAIT_S)

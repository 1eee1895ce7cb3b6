"""The mailbox holds so much and no more, and loses nothing of it."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from capabilities.refusal import Refusal
from node.mailbox import Mailbox

WAIT_S = 10


def test_what_is_put_is_handled_and_answered():
    box = Mailbox(200, 4)
    futures = [box.put(partial(pow, n, 2)) for n in range(100)]
    assert [future.result(WAIT_S) for future in futures] == [n * n for n in range(100)]
    box.stop()


def test_a_full_mailbox_refuses_and_recovers():
    box = Mailbox(2, 1)
    begun, go_on = threading.Event(), threading.Event()

    def busy():
        begun.set()
        assert go_on.wait(WAIT_S)

    running = box.put(busy)
    assert begun.wait(WAIT_S)
    waiting = [box.put(lambda: "handled") for _ in range(2)]
    with pytest.raises(Refusal, match="2 messages wait already") as caught:
        box.put(lambda: "too many")
    assert caught.value.code == "mailbox_full"
    assert caught.value.status == 503
    go_on.set()
    running.result(WAIT_S)
    assert [future.result(WAIT_S) for future in waiting] == ["handled", "handled"]
    assert box.put(lambda: "again").result(WAIT_S) == "again"
    box.stop()


def test_errors_reach_whoever_waits_and_the_thread_lives_on():
    ended = []
    box = Mailbox(2, 1, after=lambda: ended.append(1))
    with pytest.raises(ZeroDivisionError):
        box.put(lambda: 1 / 0).result(WAIT_S)
    assert box.put(lambda: "alive").result(WAIT_S) == "alive"
    assert len(ended) == 2
    box.stop()


def test_a_message_whose_sender_gave_up_is_not_handled():
    box = Mailbox(3, 1)
    begun, go_on, handled = threading.Event(), threading.Event(), []

    def busy():
        begun.set()
        assert go_on.wait(WAIT_S)

    box.put(busy)
    assert begun.wait(WAIT_S)
    given_up = box.put(lambda: handled.append("given up"))
    last = box.put(lambda: handled.append("last"))
    assert given_up.cancel()
    go_on.set()
    last.result(WAIT_S)
    box.stop()
    assert handled == ["last"]


def test_a_stopped_mailbox_handles_what_waits_and_refuses_more():
    closed = []
    box = Mailbox(50, 3, closing=lambda: closed.append(1))
    futures = [box.put(lambda: "done") for _ in range(20)]
    box.stop()
    assert all(future.result(0) == "done" for future in futures)
    assert closed
    with pytest.raises(Refusal, match="stopping"):
        box.put(lambda: None)


@pytest.mark.parametrize(("depth", "workers"), [(0, 1), (1, 0)])
def test_numbers_must_make_sense(depth, workers):
    with pytest.raises(ValueError, match="positive"):
        Mailbox(depth, workers)

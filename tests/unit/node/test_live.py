"""Announcements to open pages: coalesced, after commit, never raising, really published."""

from __future__ import annotations

import asyncio
import threading

import pytest
from channels.layers import channel_layers
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from node import live
from node.live import Publisher, changed


class Clock:
    """A clock that is set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.3)), max_size=60))
def test_a_group_is_never_announced_faster_than_the_limit_and_the_last_change_is_announced(steps):
    clock, sent = Clock(), []
    publisher = Publisher(lambda group: sent.append((group, clock.now)), interval_s=0.1, clock=clock)
    last = {}
    for group, pause in steps:
        clock.now += pause
        publisher.announce((group,))
        last[group] = clock.now
        publisher.publish(publisher.take()[0])
    while True:
        due, pause_s = publisher.take()
        publisher.publish(due)
        if not due and pause_s is None:
            break
        clock.now += pause_s or 0
    for group, at in last.items():
        times = [when for name, when in sent if name == group]
        assert times[-1] >= at
        assert all(later - earlier >= 0.0999 for earlier, later in zip(times, times[1:], strict=False))


def test_a_failing_broker_is_logged_once_and_never_raised(caplog):
    broken = True

    def send(group):
        if broken:
            raise ConnectionError("away")

    publisher = Publisher(send, interval_s=0.1)
    publisher.publish(["a", "b", "c"])
    assert len(caplog.records) == 1
    broken = False
    publisher.publish(["a"])
    broken = True
    publisher.publish(["a"])
    assert len(caplog.records) == 2


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(live, "WAITING_MAX", 10)
    publisher = Publisher(lambda group: None, interval_s=0.1)
    for number in range(100):
        publisher.announce((f"g{number}",))
    assert len(publisher.take()[0]) == 10


class Recorder:
    """Stands where the process' publisher is."""

    def __init__(self):
        self.groups = []

    def announce(self, groups):
        self.groups += groups


@pytest.mark.django_db(transaction=True)
def test_nothing_is_announced_before_the_commit_or_after_a_rollback(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(live, "_publisher", lambda: recorder)
    with transaction.atomic():
        changed("deployment.a", "node.b")
        assert recorder.groups == []
    assert recorder.groups == ["deployment.a", "node.b"]
    with pytest.raises(RuntimeError), transaction.atomic():
        changed("deployment.c")
        raise RuntimeError
    changed()
    assert recorder.groups == ["deployment.a", "node.b"]


@pytest.mark.django_db(transaction=True)
async def test_changes_from_threads_reach_a_subscriber_through_redis(redis_url, monkeypatch):
    layer = RedisPubSubChannelLayer(hosts=[redis_url], prefix="test-live")
    monkeypatch.setitem(channel_layers.backends, "default", layer)
    monkeypatch.setattr(live, "_publishers", {})
    channel = await layer.new_channel()
    await layer.group_add("deployment.x", channel)
    threads = [threading.Thread(target=changed, args=("deployment.x", "deployment.y")) for _ in range(20)]
    for thread in threads:
        thread.start()
    message = await asyncio.wait_for(layer.receive(channel), 10)
    assert message == {"type": "live.changed", "group": "deployment.x"}
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await layer.flush()

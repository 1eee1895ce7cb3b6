"""Tell open pages that something changed: one small message a changed object, coalesced, never blocking.

Pages subscribe to groups (`deployment.<id>`, `node.<id>`, `identity.<pk>`) and fetch what changed; losing a
message only delays the picture. Services call `changed()` inside their transaction; it is sent after commit.

One daemon thread a process owns an event loop and publishes into the channel layer: bridging every call
from synchronous code would make a new loop each time, and cost forty times as much. A group is announced at most
`NUMBERS.live_updates_per_s` times a second; what comes faster is one message at the end of the interval.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable

from channels.layers import get_channel_layer
from django.db import transaction

from capabilities.numbers import NUMBERS

logger = logging.getLogger(__name__)

# Bounds the memory of a process whose broker is away: beyond it, groups not yet waiting are dropped.
WAITING_MAX = 10_000


class Publisher:
    """Announces groups from one thread. `send` publishes one group and may raise; `clock` gives seconds."""

    def __init__(
        self,
        send: Callable[[str], None],
        *,
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._interval_s = interval_s
        self._clock = clock
        self._condition = threading.Condition()
        self._waiting: dict[str, None] = {}
        self._sent_at: dict[str, float] = {}
        self._busy = False
        self._failing = False

    def announce(self, groups: tuple[str, ...]) -> None:
        """Remember that `groups` changed; returns at once."""
        with self._condition:
            if len(self._waiting) < WAITING_MAX:
                self._waiting.update(dict.fromkeys(groups))
            self._condition.notify_all()

    def take(self) -> tuple[list[str], float | None]:
        """Return the groups that are due, and how long to wait for the next (None: until something changes)."""
        now = self._clock()
        due, soonest = [], None
        for group in list(self._waiting):
            left = self._sent_at.get(group, -self._interval_s) + self._interval_s - now
            if left <= 0:
                due.append(group)
                del self._waiting[group]
                self._sent_at[group] = now
            else:
                soonest = left if soonest is None else min(soonest, left)
        if len(self._sent_at) > WAITING_MAX:
            self._sent_at = {group: at for group, at in self._sent_at.items() if now - at < self._interval_s}
        return due, soonest

    def publish(self, groups: list[str]) -> None:
        """Send each group; a failure is logged once until sending works again, and never raised."""
        for group in groups:
            try:
                self._send(group)
            except Exception as error:  # noqa: BLE001 - whatever the broker's client raises: pages catch up
                if not self._failing:
                    logger.warning("live updates are not published, pages catch up by themselves: %s", error)
                self._failing = True
            else:
                self._failing = False

    def run(self) -> None:
        """Publish for ever."""
        while True:
            with self._condition:
                due, pause_s = self.take()
                self._busy = bool(due)
                if not due:
                    self._condition.notify_all()
                    self._condition.wait(pause_s)
                    continue
            self.publish(due)

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything that was announced is published, or was tried; False when the time is over."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting and not self._busy, timeout_s)


def _sender() -> Callable[[str], None]:
    loop = asyncio.new_event_loop()

    def send(group: str) -> None:
        layer = get_channel_layer()
        loop.run_until_complete(
            asyncio.wait_for(
                layer.group_send(group, {"type": "live.changed", "group": group}),
                NUMBERS.live_publish_timeout_s,
            )
        )

    return send


_lock = threading.Lock()
_publishers: dict[int, Publisher] = {}


def _publisher() -> Publisher:
    """Return this process' publisher; a forked child starts its own, threads do not survive a fork."""
    known = _publishers.get(os.getpid())
    if known is not None:
        return known
    with _lock:
        known = _publishers.get(os.getpid())
        if known is None:
            known = Publisher(_sender(), interval_s=1 / NUMBERS.live_updates_per_s)
            threading.Thread(target=known.run, name="live-publisher", daemon=True).start()
            _publishers[os.getpid()] = known
        return known


def settle(timeout_s: float) -> None:
    """Give what this process has announced the time to be published: its thread ends with the process."""
    known = _publishers.get(os.getpid())
    if known is not None:
        known.settle(timeout_s)


def changed(*groups: str) -> None:
    """Announce a change to `groups` after commit. Never raises, never waits for the broker."""
    if groups:
        transaction.on_commit(lambda: _publisher().announce(groups), robust=True)

"""Threads of the worker's own for what may take long: starts with their pulls, stops, the logs of what ended.

The queues' threads only hand work over, so that a slow registry never keeps a shutdown or a deadline waiting.
Nothing is lost with these threads: the rows say what is to be done, and the sweep hands it over again.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from django.db import close_old_connections, connections

from capabilities.numbers import NUMBERS

logger = logging.getLogger(__name__)
IDLE_S = 60.0

Work = Callable[[], object]


class Hands:
    """At most `limit` daemon threads, made when they are needed; one that finds no work for `idle_s` ends."""

    def __init__(self, name: str, *, limit: int, idle_s: float = IDLE_S) -> None:
        self._name = name
        self._limit = limit
        self._idle_s = idle_s
        self._condition = threading.Condition()
        self._waiting: OrderedDict[Hashable, Work] = OrderedDict()
        self._held: set[Hashable] = set()
        self._threads = 0
        self._idle = 0

    def take(self, key: Hashable, work: Work) -> bool:
        """Do `work` soon and return at once; False when the work of that key waits or is being done already."""
        with self._condition:
            if key in self._waiting or key in self._held:
                return False
            # What the caller works for (log ids) holds for the hand that does it, too.
            self._waiting[key] = functools.partial(contextvars.copy_context().run, work)
            if self._idle >= len(self._waiting):
                self._condition.notify()
            elif self._threads < self._limit:
                try:
                    threading.Thread(target=self._run, name=f"{self._name}-hand", daemon=True).start()
                    self._threads += 1
                except RuntimeError:  # the machine gives no more threads: those that live do it, or the sweep
                    if not self._threads:
                        del self._waiting[key]
                        return False
        return True

    def _next(self) -> tuple[Hashable, Work] | None:
        with self._condition:
            self._idle += 1
            found = self._condition.wait_for(lambda: self._waiting, self._idle_s)
            self._idle -= 1
            if not found:
                self._threads -= 1
                return None
            key, work = self._waiting.popitem(last=False)
            self._held.add(key)
            return key, work

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            key, work = taken
            try:
                close_old_connections()
                work()
            except Exception:  # the sweep hands it over again; one bad row must not take a thread away
                logger.exception("%s of %s", self._name, key)
            finally:
                with self._condition:
                    self._held.discard(key)
                close_old_connections()
        connections.close_all()


STARTS = Hands("start", limit=NUMBERS.starts_at_once)
ENDS = Hands("end", limit=NUMBERS.ends_at_once)

"""One life of a site: what happens to it is drawn from a seed, and each step is cut short wherever it can be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from django.db import OperationalError

from deployments.models import Allocation
from deployments.services.health import checked_on
from tests.unit.workers.crash.points import REFUSED
from tests.unit.workers.crash.shapes import ENDS, SHAPES
from tests.unit.workers.crash.site import Point, Site
from workers.executors.base import Cause

DEPLOYMENTS_MAX = 2
REFUSED_SHARE = 0.3
# What happens, and how often.
WEIGHTS = {
    "submit": 8,
    "message": 44,
    "message_doubled": 4,
    "message_lost": 2,
    "sweep": 8,
    "compare": 6,
    "time": 6,
    "cancel": 3,
    "delete": 3,
    "by_hand": 6,
    "end": 12,
    "health": 12,
    "engine_restart": 2,
    "engine_away": 2,
    "engine_back": 3,
    "refusal": 2,
    "take_over": 3,
    "meanwhile": 8,
}


class Life:
    """One life. `told` is what happened, for people."""

    def __init__(
        self,
        site: Site,
        seed: int,
        *,
        points_max: int,
        hit: Counter[str],
        seen: set[object],
        known: set[str],
    ) -> None:
        self.site, self.chance = site, random.Random(seed)
        self.seen, self.known = seen, known
        self.points_max, self.hit = points_max, hit
        self.told: list[str] = []

    def walks(self) -> None:
        """Take the straight way from the beginning to the end, which passes every kind of point."""
        site = self.site
        self.happens("submit", lambda: site.submit(SHAPES["one for one"](), queue=True))
        self._messages()
        self.happens("health: False", lambda: site.answer(0, good=False))
        self._messages()
        self.happens("compare", site.compare)
        self.happens("cancel", lambda: site.cancel(site.told.deployments[0]))
        self._messages()
        self.happens("sweep", site.sweep)
        self._messages()
        self.happens("delete", lambda: site.delete(site.told.deployments[0]))
        self._messages()
        site.settles(self.known)

    def _messages(self) -> None:
        while self.site.broker:
            self.happens(f"message: {self.site.broker[0]}", lambda: self.site.deliver(0))

    def lives(self, steps: int) -> None:
        """Take so many steps, and see that everything is where it belongs in the end."""
        self.submit()
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        for name in self.chance.choices(names, weights, k=steps):
            getattr(self, name)()
        self.told.append("until it is quiet")
        self.site.engine.meanwhile.clear()
        self.site.settles(self.known)

    def happens(self, text: str, what: Callable[[], None]) -> None:
        """Let it happen, and then see what becomes of it when its process is killed on the way."""
        site = self.site
        self.told.append(text)
        before, meanwhile = site.moment(), list(site.engine.meanwhile)
        site.moments, site.memory.writes = [], 0
        what()
        writes = site.memory.writes
        passed, site.moments = site.moments, None
        site.holds()
        if not passed:
            return
        after, left = site.moment(), list(site.engine.meanwhile)
        for number, point, dropped in self._chosen(passed):
            self.told.append(f"  killed at point {number} of {len(passed)}, just after {point.what}")
            site.back_to(point.moment)
            site.holds()
            site.reborn(leases_dropped=dropped)
            site.settles(self.known)
            self.seen |= {(dropped, of) for of in point.look}
            self.told.pop()
        if writes and self.chance.random() < REFUSED_SHARE:
            site.back_to(before)
            site.engine.meanwhile[:] = meanwhile
            self._refused(what, self.chance.randint(1, writes))
        site.back_to(after)
        site.engine.meanwhile[:] = left

    def _refused(self, what: Callable[[], None], write: int) -> None:
        """Let it happen while the database refuses one write: the process goes on, and nothing is lost either."""
        site = self.site
        self.told.append(f"  write {write} refused by the database")
        site.memory.writes, site.memory.refused_at = 0, write
        with suppress(OperationalError):  # a task that fails so is logged, and done again by the sweep
            what()
        site.memory.refused_at = 0
        site.swallowed.texts = [text for text in site.swallowed.texts if REFUSED not in text]
        site.engine.meanwhile.clear()
        self.hit["a refused write"] += 1
        site.holds()
        if {(None, of) for of in site.look().values()} - self.seen:
            self.seen |= {(None, of) for of in site.look().values()}
            site.settles(self.known)
        self.told.pop()

    def _chosen(self, passed: list[Point]) -> list[tuple[int, Point, bool]]:
        """Return the points that are tried: those that leave what no other has left before, or some of these.

        What is left the same way goes on the same way: it is counted, and not tried again.
        """
        found = []
        for number, point in enumerate(passed, 1):
            dropped = self.chance.random() < 0.5
            self.hit[point.what] += 1
            if {(dropped, of) for of in point.look} - self.seen:
                found.append((number, point, dropped))
        if self.points_max and len(found) > self.points_max:
            self.hit.subtract(point.what for _, point, _ in found)
            found = self.chance.sample(found, self.points_max)
            self.hit.update(point.what for _, point, _ in found)
        return found

    def _key(self) -> str:
        keys = [key for key in self.site.told.deployments if key not in self.site.told.deleting]
        return self.chance.choice(keys) if keys else ""

    def _rows(self) -> list[Allocation]:
        rows = Allocation.objects.order_by("deployment__created_at", "level", "name")
        return list(rows.exclude(deployment__in=self.site.told.deleting))

    def submit(self) -> None:
        """Somebody deploys something."""
        if len(self.site.told.deployments) - len(self.site.told.deleting) >= DEPLOYMENTS_MAX:
            return
        shape = self.chance.choice(sorted(SHAPES))
        tree = SHAPES[shape]()
        self.happens(f"submit: {shape}", lambda: self.site.submit(tree, queue=True))

    def message(self, *, doubled: bool = False) -> None:
        """The worker takes a message."""
        site = self.site
        if not site.broker:
            self.sweep()
            return
        place = self.chance.randrange(len(site.broker))
        text = f"message{', which stays' if doubled else ''}: {site.broker[place]}"
        self.happens(text, lambda: site.deliver(place, doubled=doubled))

    def message_doubled(self) -> None:
        """The broker delivers a message and keeps it."""
        self.message(doubled=True)

    def message_lost(self) -> None:
        """The broker forgets a message."""
        if self.site.broker:
            place = self.chance.randrange(len(self.site.broker))
            self.told.append(f"lost: {self.site.broker.pop(place)}")

    def sweep(self) -> None:
        """The sweep's turn."""
        self.happens("sweep", self.site.sweep)

    def compare(self) -> None:
        """The comparison's turn."""
        self.happens("compare", self.site.compare)

    def time(self) -> None:
        """Time passes."""
        seconds = self.chance.choice([0.5, 2, 61, 700])
        self.told.append(f"{seconds} s")
        self.site.wait(seconds)

    def cancel(self) -> None:
        """Somebody shuts a deployment down."""
        if key := self._key():
            self.happens(f"cancel {key[:6]}", lambda: self.site.cancel(key))

    def delete(self) -> None:
        """Somebody deletes a deployment."""
        if key := self._key():
            self.happens(f"delete {key[:6]}", lambda: self.site.delete(key))

    def by_hand(self) -> None:
        """Somebody stops or restarts an allocation."""
        if rows := self._rows():
            row, verb = self.chance.choice(rows), self.chance.choice(["stop", "restart"])
            self.happens(f"{verb} {row.pk[:6]} {row}", lambda: self.site.by_hand(row, verb))

    def end(self) -> None:
        """An execution ends by itself, or is lost."""
        if running := self.site.engine.machine.alive():
            found, how = self.chance.choice(running), self.chance.choice(ENDS)
            text = f"{found.allocation_id[:6]}{found.allocation_id[64:]} ends: {how[0]}"
            self.happens(text, lambda: self.site.end(found.execution_id, *how))

    def health(self) -> None:
        """A health check is answered."""
        if not checked_on(self.site.node.pk):
            self.message()
            return
        place, good = self.chance.randrange(4), self.chance.random() < 0.5
        self.happens(f"health: {good}", lambda: self.site.answer(place, good=good))

    def engine_restart(self) -> None:
        """The engine restarts."""
        self.told.append("the engine restarts")
        self.site.engine_restarts()

    def engine_away(self) -> None:
        """The engine does not answer for some time."""
        self.told.append("the engine is away")
        self.site.engine.machine.away = True

    def engine_back(self) -> None:
        """The engine answers again."""
        self.site.engine.machine.away = False

    def refusal(self) -> None:
        """The next start fails."""
        cause = self.chance.choice([Cause.IMAGE_MISSING, Cause.START_FAILED, Cause.ENGINE_UNREACHABLE])
        self.told.append(f"the next start: {cause}")
        self.site.engine.machine.refusals[:] = [cause]

    def take_over(self) -> None:
        """A worker starts."""
        dropped = self.chance.random() < 0.5

        def takes_over() -> None:
            self.site.reborn(leases_dropped=dropped)
            self.site.sweep()
            self.site.compare()

        self.happens("a worker takes over", takes_over)

    def meanwhile(self) -> None:
        """While the engine is at its next call other threads go on."""
        site, what, place = self.site, self.chance.choice(["cancel", "sweep", "restart", "stop"]), 0
        place = self.chance.randrange(4)

        def meanwhile() -> None:
            rows = self._rows()
            if what == "sweep":
                site.sweep()
            elif rows and what == "cancel":
                site.cancel(rows[place % len(rows)].deployment_id)
            elif rows:
                site.by_hand(rows[place % len(rows)], what)

        self.told.append(f"during the engine's next call: {what} {place}")
        site.engine.meanwhile[:] = [meanwhile]

"""The thread that has this node's allocations checked in time: rows say which, hands of its own ask them.

What is known of each is kept here and written on change; a restarted worker goes on from what was written. Nothing
is asked on the word of rows that could not be read again.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from capabilities.numbers import NUMBERS
from deployments import health
from deployments.ensemble.document import healthcheck_of
from deployments.services.advance import deployment_advance
from deployments.services.health import Checked, checked_on, health_note, specs_of
from workers.executors.base import Cause, Executor, ExecutorError, State
from workers.hands import Hands
from workers.health.ask import Answer, Asked, ask

logger = logging.getLogger(__name__)
CHECKS = Hands("check", limit=NUMBERS.health_checks_at_once)
Key = tuple[str, int]


class Alarm:
    """Wakes the runner: rows have changed, or a hand is free again."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.news = True

    def rows(self) -> None:
        """Have the rows read again at once."""
        self.news = True
        self.event.set()


ALARM = Alarm()


@dataclass(slots=True)
class Watched:
    """One attempt of an allocation that has a check. Only the hand that asks it changes it meanwhile (`busy`)."""

    row: Checked
    asked: Asked
    plan: health.Plan
    health: health.Health
    due_at: float
    busy: bool = False
    address: str = ""
    address_until: float = 0.0
    good: bool | None = None
    noted: tuple[str, int, bool | None] | None = None
    noted_at: float = 0.0


class Runner:
    """Checks what runs on one node. `clock` is monotonic."""

    def __init__(
        self,
        node_id: UUID,
        having: Mapping[str, Executor],
        *,
        hands: Hands = CHECKS,
        alarm: Alarm = ALARM,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._alarm = alarm
        self._node_id = node_id
        self._executors = having
        self._hands = hands
        self._clock = clock
        self._watched: dict[Key, Watched] = {}
        self._rows_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop`."""
        while not stop.is_set():
            try:
                close_old_connections()
                pause = self.turn()
            except Exception:  # the database may be away: rows are read again before anything is asked
                logger.exception("health checks; trying again")
                pause = NUMBERS.health_rows_s
            self._alarm.event.wait(pause)
        close_old_connections()

    def turn(self) -> float:
        """Hand over what is due; return for how long there is nothing to do."""
        now = self._clock()
        self._alarm.event.clear()
        if self._alarm.news or now - self._rows_at >= NUMBERS.health_rows_s:
            self._alarm.news = False
            self._look(now)
            self._rows_at = now
        busy = Counter(one.row.owner_id for one in self._watched.values() if one.busy)
        following = self._rows_at + NUMBERS.health_rows_s
        for key, one in sorted(self._watched.items(), key=lambda item: item[1].due_at):
            if one.busy:
                continue
            if one.due_at > now:
                following = min(following, one.due_at)
                break
            if busy[one.row.owner_id] >= NUMBERS.health_checks_of_owner_at_once:
                continue
            one.busy = True
            if self._hands.take(key, functools.partial(self._ask, key, one)):
                busy[one.row.owner_id] += 1
            else:
                one.busy = False
        return max(0.02, following - self._clock())

    def _look(self, now: float) -> None:
        """Take the rows as they are: begin with new attempts, forget the others."""
        rows = {(row.allocation_id, row.attempt): row for row in checked_on(self._node_id)}
        self._watched = {key: one for key, one in self._watched.items() if key in rows}
        fresh = [key for key in rows if key not in self._watched]
        specs = specs_of([key[0] for key in fresh])
        for key in fresh:
            if (document := specs.get(key[0])) and rows[key].executor in self._executors:
                self._watched[key] = self._begin(rows[key], document, now)

    def _begin(self, row: Checked, document: Mapping[str, object], now: float) -> Watched:
        spec = healthcheck_of(document)
        plan = health.Plan.of(spec)
        age = max(0.0, (timezone.now() - row.started_at).total_seconds()) if row.started_at else 0.0
        begun = health.begin(plan, now - age, state=row.health, failures=row.failures)
        due = health.resumed_at(begun, plan, now=now, name=row.allocation_id)
        return Watched(row, Asked(row.execution_id, row.name, row.dns_name, spec), plan, begun, due)

    def _ask(self, key: Key, one: Watched) -> None:
        """Ask one allocation, and do what follows. Runs in a hand."""
        began = self._clock()
        try:
            if self._watched.get(key) is not one:
                return
            executor = self._executors[one.row.executor]
            answer = self._answer(one, executor)
            now = self._clock()
            before = one.health
            if answer.good is not None:
                one.health = health.after(before, one.plan, good=answer.good, at=now)
            one.good = answer.good
            goes_on = self._note(one, answer, now)
            if goes_on and one.health.state == health.UNHEALTHY and answer.good is False:
                count = one.health.failures
                detail = f"{count} failure{'s' if count > 1 else ''} in a row; {answer.text}"
                executor.kill(one.row.execution_id, Cause.UNHEALTHY, detail)
            if one.health.state != before.state:
                deployment_advance(one.row.deployment_id)
        except ExecutorError as error:
            logger.warning("ending unhealthy %s: %s; the next check tries again", key[0], error.detail)
        finally:
            one.due_at = health.next_at(one.health, one.plan, asked_at=began, answered_at=self._clock())
            one.busy = False
            self._alarm.event.set()

    def _answer(self, one: Watched, executor: Executor) -> Answer:
        if one.asked.spec.type != "command" and self._clock() >= one.address_until:
            try:
                found = executor.inspect(one.row.execution_id)
            except ExecutorError as error:
                return Answer(None, f"not checked: {error.detail}")
            if found.state is not State.RUNNING:
                return Answer(None, "not checked: it does not run")
            one.address = found.priv_addr
            one.address_until = self._clock() + NUMBERS.health_address_kept_s
        answer = ask(one.asked, executor, one.address, timeout_s=one.plan.timeout_s)
        if not answer.good:
            one.address_until = 0.0
        return answer

    def _note(self, one: Watched, answer: Answer, now: float) -> bool:
        """Write what is new, and now and then that nothing is. False when it is over, or to end, meanwhile."""
        state = (one.health.state, one.health.failures, one.good)
        patience = NUMBERS.health_noted_s if one.good else NUMBERS.health_noted_bad_s
        if state == one.noted and now - one.noted_at < patience:
            return True
        try:
            goes_on = health_note(
                one.row, state=one.health.state, failures=one.health.failures, detail=answer.text
            )
        except DatabaseError as error:
            logger.warning("noting the health of %s: %s; after the next answer again", one.row.name, error)
            return True
        one.noted, one.noted_at = state, now
        return goes_on

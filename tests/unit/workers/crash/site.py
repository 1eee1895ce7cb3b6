"""A site with its worker, broker, engine and clock in one thread: what happens to it, and what must hold of it."""

from __future__ import annotations

import copy
import json
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from capabilities.models import Identity
from capabilities.refusal import Refusal
from deployments import states
from deployments.models import Allocation, Deployment
from deployments.services import by_hand, removal
from deployments.services.advance import CLEAN_UP, deployment_advance
from deployments.services.allocations import STOP, drop_leases
from deployments.services.health import checked_on, health_note
from deployments.services.recovery import START
from deployments.services.room import ROOM, room_made
from deployments.services.stop import ADVANCE, stop_ask
from node.models import Node
from node.services import ledger
from tests.unit.deployments import world
from tests.unit.workers.crash.engine import FakeEngine, Machine
from tests.unit.workers.crash.points import Clock, Happened, Memory
from workers import reconcile, run
from workers.executors.base import Cause, ExecutorError, State

ENDED = "the engine's event"
QUIET_TURNS = 40
Message = tuple[str, tuple[Any, ...]]


@dataclass
class Told:
    """What was acknowledged to people, and what the test did to each deployment."""

    deployments: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    story: dict[str, frozenset[str]] = field(default_factory=lambda: defaultdict(frozenset))
    stopped: set[str] = field(default_factory=set)
    restarted: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Told:
        """Return it as it is now."""
        return copy.deepcopy(self)


@dataclass(frozen=True)
class Moment:
    """Everything at one moment."""

    rows: bytes
    machine: Machine
    broker: tuple[Message, ...]
    told: Told
    at: Any


@dataclass(frozen=True)
class Point:
    """A moment just after something has become lasting, and what a process that is killed there leaves."""

    what: str
    moment: Moment
    look: tuple[str, ...]


class Swallowed(logging.Handler):
    """Collects what the product has caught and logged as an error: here every one of them is a fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.texts.append(self.format(record))


class Site:
    """One node. Each public verb of the first part is something that happens; `holds` and `settled` check."""

    def __init__(self, memory: Memory, happened: Happened, clock: Clock) -> None:
        self.memory, self.clock = memory, clock
        self.happened = happened
        self.engine = FakeEngine(
            happened, lambda key: self.send(ENDED, key), lambda deployment: self.tell(deployment, "fault")
        )
        self.broker: list[Message] = []
        self.told = Told()
        self.changes = 0
        self.moments: list[Point] | None = None
        self.statuses: dict[str, str] = {}
        self.swallowed = Swallowed()
        self.node: Node = world.make_node()
        self.owner: Identity = world.make_owner()
        # Names of deployments come from it: the same in every run.
        Node.objects.update(peer_id="peer")
        self.node.peer_id = "peer"

    # What happens.

    def send(self, task: str, *args: Any) -> None:
        """Put a message into the broker."""
        self.broker.append((task, args))
        self.happened("a wake-up")

    def submit(self, tree: dict[str, Any], **asked: Any) -> None:
        """A person deploys something, and is told that it is accepted."""
        made = world.submit(self.node, self.owner, tree, deadline_s=80_000, **asked)
        self.told.deployments.append(made.pk)

    def deliver(self, place: int, *, doubled: bool = False) -> None:
        """The worker takes a message; doubled: the broker keeps it and gives it once more."""
        task, args = self.broker[place] if doubled else self.broker.pop(place)
        if task == START:
            run.allocation_start(*args)
        elif task == STOP:
            run.allocation_stop(*args)
        elif task == ENDED:
            run.collect(*args)
        elif task == ADVANCE:
            deployment_advance(*args)
        elif task == ROOM:
            room_made(Node.objects.select_related("identity").get(pk=self.node.pk))
        elif task == removal.TAKE_AWAY:
            removal.take_away(lambda key: self.happened("files removed"))
        else:
            assert task == CLEAN_UP, task
            self._calls(lambda: self.engine.remove_deployment(*args))

    def _calls(self, call: Callable[[], None]) -> None:
        try:
            call()
        except ExecutorError:
            return  # as the task does: the sweep removes it later

    def sweep(self) -> None:
        """The worker takes up what waits."""
        reconcile.take_up(self.node)

    def compare(self) -> None:
        """The worker compares rows with what runs, and takes lapsed promises back."""
        reconcile.compare(self.node)
        ledger.expire(timezone.now())

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.at += timedelta(seconds=seconds)

    def cancel(self, key: str) -> None:
        """A person shuts a deployment down."""
        self.tell(key, "cancel")
        stop_ask(Deployment.objects.get(pk=key), "shut down")
        self.told.cancelled.add(key)

    def by_hand(self, row: Allocation, verb: str) -> None:
        """A person stops or restarts one allocation, if the product lets her."""
        ask = by_hand.allocation_stop_ask if verb == "stop" else by_hand.allocation_restart_ask
        self.tell(row.deployment_id, "hand")
        try:
            ask(row, actor="", name="alice")
        except Refusal:
            return
        if verb == "stop":
            self.told.stopped.add(row.pk)
        elif row.status == Allocation.Status.RUNNING:
            self.told.restarted[row.pk] = row.attempt

    def delete(self, key: str) -> None:
        """A person deletes what has ended."""
        self.told.deleting.add(key)
        if removal.deployments_delete([key], actor=""):
            self.told.deleted.add(key)
        else:
            self.told.deleting.discard(key)

    def end(self, execution_id: str, cause: Cause, code: int | None) -> None:
        """An execution ends by itself, or is lost."""
        found = self.engine.machine.executions[execution_id]
        if cause is not Cause.COMPLETED or self._type(found.allocation_id) == "service":
            self.tell(found.deployment_id, "fault")
        if cause is Cause.GONE:
            del self.engine.machine.executions[execution_id]
            return
        self.engine.machine.end(execution_id, cause, code, timezone.now())
        self.send(ENDED, execution_id)

    def engine_restarts(self) -> None:
        """Everything that runs ends with its engine."""
        for found in self.engine.machine.alive():
            if found.state is State.RUNNING:
                self.tell(found.deployment_id, "engine")
                self.engine.machine.end(found.execution_id, Cause.ENGINE_RESTARTED, 137, timezone.now())

    def answer(self, place: int, *, good: bool) -> None:
        """What has a health check answers, as the thread that asks them acts on it."""
        rows = checked_on(self.node.pk)
        if not rows:
            return
        row = rows[place % len(rows)]
        state = "healthy" if good else "unhealthy"
        if not good:
            self.tell(row.deployment_id, "fault")
        goes_on = health_note(row, state=state, failures=0 if good else 3, detail="as answered")
        if goes_on and not good:
            self._calls(lambda: self.engine.kill(row.execution_id, Cause.UNHEALTHY, "3 failures in a row"))
        if row.health != state:
            deployment_advance(row.deployment_id)

    def reborn(self, *, leases_dropped: bool) -> None:
        """A new process: of the worker, which forgets the claims before it, or of another one."""
        self.engine.meanwhile.clear()
        if leases_dropped:
            drop_leases(self.node.pk)

    def tell(self, key: str, what: str) -> None:
        """Note what the test does to a deployment: it may show in how that ends."""
        self.told.story[key] |= {what}

    def _type(self, allocation_id: str) -> str:
        found = self.memory.rows("SELECT type FROM deployments_allocation WHERE id = ?", allocation_id)
        return str(found[0][0]) if found else ""

    # Moments.

    def moment(self) -> Moment:
        """Remember everything."""
        rows, broker = self.memory.save(), tuple(self.broker)
        return Moment(rows, self.engine.machine.copy(), broker, self.told.copy(), self.clock.at)

    def back_to(self, moment: Moment) -> None:
        """Go back to a moment."""
        self.memory.load(moment.rows)
        self.engine.machine, self.broker = moment.machine.copy(), list(moment.broker)
        self.swallowed.texts.clear()
        self.told, self.clock.at = moment.told.copy(), moment.at
        self.engine.meanwhile.clear()
        self.statuses = self._statuses()

    def look(self) -> dict[str, str]:
        """Return what decides how each deployment goes on: everything but names and times."""
        parts: dict[str, list[object]] = {}
        for key, *rest in self.memory.rows(
            "SELECT id, status, stop_wanted, fail_wanted, delete_wanted, min(attempt, 3), queued_at IS NULL,"
            " reason = '' FROM deployments_deployment"
        ):
            parts[key] = [
                rest,
                key in self.told.cancelled,
                key in self.told.deleted,
                key in self.told.deployments,
            ]
            parts[key] += [sorted(self.told.story[key]), key in self.engine.machine.networks]
        for key, pk, *rest in self.memory.rows(
            "SELECT deployment_id, id, name, status, health, attempt, start_wanted, stop_wanted, restart_why = '',"
            " restart_at IS NULL, lease_until IS NULL, type, level,"
            " (SELECT group_concat(coalesce(scope, '-')) FROM deployments_allocationattempt WHERE allocation_id = a.id)"
            " FROM deployments_allocation a ORDER BY deployment_id, id"
        ):
            parts[key] += [rest, pk in self.told.stopped, self.told.restarted.get(pk)]
        for found in sorted(self.engine.machine.executions.values(), key=lambda one: one.execution_id):
            number = found.execution_id.rpartition("-")[2]
            name = found.allocation_id.rpartition(".")[2]
            if found.deployment_id in parts:
                parts[found.deployment_id].append((name, number, found.state, found.cause))
        return {key: repr(of) for key, of in parts.items()}

    # What must hold.

    def noted(self, what: str) -> None:
        """Called when something has become lasting: here a process may be killed."""
        self.changes += 1
        self._follow()
        if self.moments is not None:
            self.moments.append(Point(what, self.moment(), tuple(self.look().values())))

    def _follow(self) -> None:
        """A status follows the arrows, and nothing else."""
        now = self._statuses()
        for key, status in now.items():
            before = self.statuses.get(key, status)
            arrows = states.ARROWS if before in states.ARROWS else states.ALLOCATION_ARROWS
            if status != before and status not in arrows[before]:
                self.swallowed.texts.append(f"{key}: no arrow from {before} to {status}")
        self.statuses = now

    def _statuses(self) -> dict[str, str]:
        query = "SELECT id, status FROM deployments_deployment UNION SELECT id, status FROM deployments_allocation"
        return {str(key): str(status) for key, status in self.memory.rows(query)}

    def holds(self) -> None:
        """What holds at every moment, whoever was killed just before."""
        assert not self.swallowed.texts, "\n".join(self.swallowed.texts)
        alive: dict[str, list[str]] = defaultdict(list)
        for found in self.engine.machine.alive():
            alive[found.allocation_id].append(found.execution_id)
        assert all(len(keys) == 1 for keys in alive.values()), f"two live executions: {dict(alive)}"
        present = {key for (key,) in self.memory.rows("SELECT id FROM deployments_deployment")}
        lost = set(self.told.deployments) - self.told.deleting - present
        assert not lost, f"acknowledged and lost: {lost}"
        attempts: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
        for key, number, execution, open_ in self.memory.rows(
            "SELECT allocation_id, number, execution_id, ended_at IS NULL FROM deployments_allocationattempt"
            " ORDER BY allocation_id, number"
        ):
            attempts[key].append((number, execution, bool(open_)))
        lines = dict(self.memory.rows("SELECT allocation_id, state FROM node_reservation"))
        held = defaultdict(set)
        for key, port in self.memory.rows("SELECT allocation_id, port FROM node_portreservation"):
            held[key].add(port)
        going_on = set()
        for key, status, number, execution, ports in self.memory.rows(
            "SELECT id, status, attempt, execution_id, ports FROM deployments_allocation"
        ):
            of = attempts.pop(key, [])
            assert [one[0] for one in of] == list(range(1, number + 1)), f"{key}: attempts {of}, at {number}"
            unfinished = status not in states.ALLOCATION_TERMINAL
            assert [one[0] for one in of if one[2]] == ([number] if unfinished and number else []), (
                key,
                status,
                of,
            )
            assert not of or of[-1][1] == execution, f"{key}: {execution} is not of its last attempt"
            if unfinished:
                going_on.add(key)
                assert held[key] == {port["public"] for port in json.loads(ports)}, (
                    f"{key}: ports {held[key]}"
                )
                assert status != "running" or lines.get(key) == "allocated", (
                    f"{key}: running without resources"
                )
        assert not attempts, f"attempts of nobody: {attempts}"
        assert set(lines) == going_on, f"ledger {lines}, going on {going_on}"
        assert {key for key, ports in held.items() if ports} <= going_on, f"ports of what has ended: {held}"

    def settles(self, known: set[str]) -> None:
        """Let sweeps, comparisons and time do what they do until nothing changes, and see that all is well then.

        `known` are the ways deployments have stood after a turn from which all went well: from there it need not be
        looked at again. What is met on the way is added.
        """
        self.engine.machine.away = False
        self.engine.machine.refusals.clear()
        self.broker.clear()
        met: set[str] = set()
        for _ in range(QUIET_TURNS):
            before = self.changes
            self.wait(120)  # every claim and every pause is over
            self.sweep()
            self.compare()
            for place, row in enumerate(checked_on(self.node.pk)):
                if row.health != "healthy":
                    self.answer(place, good=True)
            removal.take_away(lambda key: None)
            self.broker.clear()
            self.holds()
            fresh = set(self.look().values()) - known
            met |= fresh
            if self.changes == before:
                self.settled()
            if self.changes == before or not fresh:
                known |= met
                return
        raise AssertionError(f"never quiet: {self._statuses()}")

    def settled(self) -> None:
        """What holds once it is quiet: everything acknowledged is where it belongs, and nothing is left over."""
        self.holds()
        wanted, unfinished = set(), set()
        for row in Deployment.objects.prefetch_related("allocations"):
            story, rows = self.told.story.get(row.pk, frozenset()), list(row.allocations.all())
            where = (
                f"{row.name}: {row.status} {row.reason!r} {[(one.name, one.status) for one in rows]} {story}"
            )
            going_on = [one for one in rows if one.status not in states.ALLOCATION_TERMINAL]
            if row.status in states.TERMINAL:
                assert not going_on, where
                assert row.status == states.COMPLETED or (row.reason and story - {"engine", "cancel"}), where
                assert story or all(one.status == "completed" for one in rows), where
            else:
                unfinished.add(row.pk)
                assert row.pk not in self.told.cancelled and not row.stop_wanted, where
                assert row.status == states.RUNNING or row.queued_at is not None, where
                assert row.status == states.RUNNING or self.memory.rows("SELECT 1 FROM node_reservation"), (
                    where
                )
                assert bool(going_on) == (row.status == states.RUNNING), where
                assert all(one.status == "running" for one in going_on), where
                wanted |= {one.execution_id for one in going_on}
            for one in rows:
                assert story or one.attempt <= 1, f"restarted for nothing: {where}"
                assert one.pk not in self.told.stopped or one not in going_on, f"was to be stopped: {where}"
                asked = self.told.restarted.get(one.pk, 0)
                assert one not in going_on or one.attempt > asked, f"was to be restarted: {where}"
        assert not Deployment.objects.filter(pk__in=self.told.deleted).exists()
        running = {one.execution_id for one in self.engine.machine.alive()}
        assert running == wanted == set(self.engine.machine.executions), f"runs {running}, wanted {wanted}"
        assert self.engine.machine.networks <= unfinished, "a network of what has ended"

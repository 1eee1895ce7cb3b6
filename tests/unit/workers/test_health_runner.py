"""The thread that checks in time: what is asked, when, and what is written. The executor is a stand-in here."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pytest
from django.db import DatabaseError

from capabilities.numbers import NUMBERS
from deployments.models import Allocation, DeploymentEvent
from deployments.services.advance import deployment_advance
from tests.unit.deployments import world
from workers.executors.base import Cause, ExecutorError
from workers.hands import Hands
from workers.health import runner as module
from workers.health.runner import Alarm, Runner

pytestmark = pytest.mark.django_db(transaction=True)
CHECK = {"type": "command", "exec": ["check"], "interval": "10s", "retries": 2}


class Held(Hands):
    """Keeps the work until it is told to do it."""

    def __init__(self) -> None:
        super().__init__("held", limit=1)
        self.work: list[Callable[[], object]] = []

    def take(self, key: Hashable, work: Callable[[], object]) -> bool:
        self.work.append(work)
        return True

    def do(self) -> int:
        work, self.work = self.work, []
        for one in work:
            one()
        return len(work)


class Engine:
    """Answers as it is told; remembers whom it killed."""

    def __init__(self) -> None:
        self.code = 0
        self.fault: ExecutorError | None = None
        self.killed: list[tuple[str, Cause]] = []

    def run_inside(self, execution_id: str, argv: Any, **how: Any) -> tuple[int, bytes]:
        if self.fault:
            raise self.fault
        return self.code, b"said"

    def kill(self, execution_id: str, cause: Cause, detail: str) -> None:
        self.killed.append((execution_id, cause))


class Bench:
    """A runner whose time and hands are in the test's own."""

    def __init__(self, count: int = 1, owners: int = 1) -> None:
        self.now = 1000.0
        self.engine = Engine()
        self.hands = Held()
        self.alarm = Alarm()
        self.node = world.make_node(
            cpu_centicores=100_000, ram_bytes=900 * world.GIB, disk_bytes=9000 * world.GIB
        )
        for number in range(owners):
            owner = world.make_owner(f"owner{number}")
            tree = {f"a{index}": world.allocation("service", healthcheck=CHECK) for index in range(count)}
            deployment = world.submit(self.node, owner, world.ensemble(tree))
            deployment_advance(deployment.pk)
        for row in Allocation.objects.all():
            assert world.started(row)
        self.renew()

    def renew(self) -> None:
        """Begin anew, as a restarted worker."""
        having: Any = {"process": self.engine}
        self.runner = Runner(self.node.pk, having, hands=self.hands, alarm=self.alarm, clock=lambda: self.now)

    def turn(self, later_s: float = 0.0) -> int:
        """Let time pass and take a turn; return how many were asked."""
        self.now += later_s
        self.runner.turn()
        return self.hands.do()

    @property
    def row(self) -> Allocation:
        return Allocation.objects.get()


def test_it_is_asked_in_its_interval_and_written_on_change() -> None:
    bench = Bench()
    assert (bench.row.health, bench.turn(), bench.row.health) == ("starting", 1, "healthy")
    assert bench.row.health_detail.startswith("exit code 0 after ")
    noted = bench.row.health_checked_at
    assert [bench.turn(later) for later in (1, 8.9, 0.2)] == [0, 0, 1]
    assert bench.row.health_checked_at == noted
    assert bench.turn(60) == 1
    assert bench.row.health_checked_at != noted
    assert DeploymentEvent.objects.filter(kind="health").count() == 1


def test_failures_in_a_row_end_it_and_one_does_not() -> None:
    bench = Bench()
    bench.turn()
    bench.engine.code = 1
    bench.turn(10)
    assert (bench.row.health, bench.row.health_failures, bench.engine.killed) == ("healthy", 1, [])
    bench.engine.code = 0
    bench.turn(10)
    assert bench.row.health_failures == 0
    bench.engine.code = 1
    bench.turn(10)
    bench.turn(10)
    row = bench.row
    assert (row.health, row.health_failures) == ("unhealthy", 2)
    assert bench.engine.killed == [(row.execution_id, Cause.UNHEALTHY)]
    bench.engine.code = 0
    bench.turn(10)
    assert bench.row.health == "healthy"
    assert DeploymentEvent.objects.filter(kind="health").last().text.startswith("here.a0 is healthy again")  # type: ignore[union-attr]


def test_an_engine_that_does_not_answer_says_nothing_about_the_allocation() -> None:
    bench = Bench()
    bench.turn()
    bench.engine.fault = ExecutorError(Cause.ENGINE_UNREACHABLE, "no engine socket", transient=True)
    for _ in range(5):
        assert bench.turn(10) == 1
    assert (bench.row.health, bench.row.health_failures, bench.engine.killed) == ("healthy", 0, [])
    assert "no engine socket" in bench.row.health_detail


def test_a_restarted_worker_goes_on_counting() -> None:
    bench = Bench()
    bench.turn()
    bench.engine.code = 1
    bench.turn(10)
    bench.renew()
    bench.turn()
    bench.turn(10)
    assert (bench.row.health, len(bench.engine.killed)) == ("unhealthy", 1)


@pytest.mark.parametrize(
    "changes", [{"stop_wanted": True}, {"status": "stopped"}, {"attempt": 2, "status": "pending"}]
)
def test_what_stops_is_neither_asked_nor_ended(changes: dict[str, Any]) -> None:
    bench = Bench()
    bench.turn()
    bench.engine.code = 1
    bench.turn(10)
    bench.now += 10
    bench.runner.turn()  # the second failure is under way when its end is asked for
    Allocation.objects.update(**changes)
    bench.hands.do()
    assert bench.engine.killed == []
    assert bench.turn(10) == 0


def test_a_new_attempt_begins_anew() -> None:
    bench = Bench()
    bench.turn()
    Allocation.objects.update(attempt=2, execution_id="second", status="pending")
    bench.turn(1)
    assert world.started(bench.row)
    assert (bench.row.health, bench.row.health_checked_at) == ("starting", None)
    bench.alarm.rows()
    assert bench.turn() == 1
    assert bench.row.health == "healthy"


def test_nothing_is_asked_while_the_rows_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.turn()

    def fail(node_id: object) -> Any:
        raise DatabaseError("away")

    with monkeypatch.context() as patched:
        patched.setattr(module, "checked_on", fail)
        for _ in range(3):
            with pytest.raises(DatabaseError):
                bench.turn(10)
    assert bench.hands.do() == 0
    assert bench.turn(10) == 1


def test_a_note_that_the_database_does_not_take_is_written_after_the_next_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()

    def fail(*_: Any, **__: Any) -> bool:
        raise DatabaseError("away")

    with monkeypatch.context() as patched:
        patched.setattr(module, "health_note", fail)
        assert bench.turn() == 1
    assert bench.row.health == "starting"
    assert bench.turn(10) == 1
    assert bench.row.health == "healthy"


def test_one_owners_checks_leave_hands_for_the_others() -> None:
    bench = Bench(count=30, owners=2)
    bench.runner.turn()
    asked = len(bench.hands.work)
    assert asked == 2 * NUMBERS.health_checks_of_owner_at_once
    assert bench.hands.do() == asked
    assert bench.turn(0.5) == 60 - asked
    assert bench.turn() == 0

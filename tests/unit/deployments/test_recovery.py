"""Who is started again after a failure, how often, and what the rows say of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from capabilities.numbers import NUMBERS
from deployments import recovery, states
from deployments.ensemble.model import AllocationSpec, Ensemble, NodeSpec, RestartSpec, SupervisorSpec
from deployments.models import Allocation, AllocationAttempt, Deployment
from deployments.services.advance import deployment_advance
from deployments.services.allocations import claim
from deployments.services.health import checked_on, health_note
from node.models import Reservation
from tests.unit.deployments import world

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")
LIMIT = RestartSpec(max=2, within_ns=60 * 10**9, backoff_ns=10**9, backoff_max_ns=3 * 10**9)


def of(
    policy: str = "stay_down", kind: str = "service", supervisor: SupervisorSpec | None = None
) -> Ensemble:
    made = {
        name: AllocationSpec(name=name, type=kind, failure_recovery=policy, restart=LIMIT) for name in NAMES
    }
    return Ensemble(
        allocations=made,
        nodes={"n": NodeSpec(name="n", allocations=NAMES)},
        supervisor=supervisor,
    )


def decide(
    ensemble: Ensemble, name: str = "b", past: tuple[recovery.Restart, ...] = (), cause: str = "oom_killed"
) -> recovery.Decision:
    return recovery.decide(ensemble, name, cause, order=NAMES, past=past, now=NOW)


def test_redeploying_is_the_last_scope_with_restarts_of_its_own() -> None:
    ensemble = replace(of("one_for_one"), escalation_strategy="redeploy")
    own = tuple(recovery.Restart(NOW - timedelta(seconds=30 - turn), 0) for turn in range(2))
    assert decide(ensemble).names == ("b",)
    whole = decide(ensemble, past=own)
    assert (whole.names, whole.scope, whole.spent) == (NAMES, 1, False)
    # After that its own restarts count anew, and redeploying has an end, too.
    again = decide(ensemble, past=(*own, recovery.Restart(NOW - timedelta(seconds=5), 1)))
    assert (again.names, again.scope) == (("b",), 0)
    ends = [
        recovery.Restart(NOW - timedelta(seconds=20 - turn), scope) for turn, scope in enumerate((1, 1, 0, 0))
    ]
    assert decide(ensemble, past=tuple(ends)).spent
    assert decide(replace(of("stay_down"), escalation_strategy="redeploy")).names == ()


@pytest.mark.parametrize("kind", ["task", "service"])
def test_what_the_engine_ended_is_started_again_and_counted_nowhere(kind: str) -> None:
    decision = decide(of("stay_down", kind), cause="engine_restarted")
    assert (decision.names, decision.pause_s, decision.scope, decision.spent) == (("b",), 0, None, False)


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("stay_down", ()),
        ("one_for_one", ("b",)),
        ("one_for_all", NAMES),
        ("rest_for_one", ("b", "c", "d")),
    ],
)
def test_each_policy_restarts_exactly_its_own(policy: str, names: tuple[str, ...]) -> None:
    assert decide(of(policy)).names == names


@pytest.mark.parametrize(
    ("strategy", "names"), [("OneForOne", ("b",)), ("AllForOne", ("a", "b")), ("RestForOne", ("b",))]
)
def test_the_innermost_group_decides_and_the_one_around_it_when_it_is_spent(
    strategy: str, names: tuple[str, ...]
) -> None:
    inner = SupervisorSpec(strategy, ("a", "b"))
    ensemble = of(supervisor=SupervisorSpec("RestForOne", ("c", "d"), (inner,)))
    assert decide(ensemble).names == names
    twice = (recovery.Restart(NOW, 0), recovery.Restart(NOW, 0))
    wider = decide(ensemble, past=twice)
    assert (wider.names, wider.scope) == (NAMES, 1)
    after = (*twice, recovery.Restart(NOW + timedelta(seconds=1), 1))
    assert decide(ensemble, past=after).scope == 0
    spent = tuple(
        recovery.Restart(NOW + timedelta(seconds=at), scope) for at, scope in ((1, 1), (2, 1), (3, 0), (4, 0))
    )
    assert decide(ensemble, past=spent) == recovery.Decision(spent=True)


def test_what_cannot_help_is_not_tried() -> None:
    assert not decide(of("one_for_one"), cause="image_missing").names


def test_a_task_is_tried_as_often_as_it_asks() -> None:
    spec = AllocationSpec(name="t", type="task", retry=1)
    ensemble = Ensemble(allocations={"t": spec})
    first = recovery.decide(ensemble, "t", "exit_code", order=("t",), past=(), now=NOW)
    assert first.names == ("t",)
    past = (recovery.Restart(NOW - timedelta(days=1), 0),)
    last = recovery.decide(ensemble, "t", "exit_code", order=("t",), past=past, now=NOW)
    assert last == recovery.Decision(spent=True)


@given(st.lists(st.floats(0, 600), max_size=12), st.sampled_from(["one_for_one", "one_for_all"]))
def test_never_more_than_so_many_within_the_time(ages: list[float], policy: str) -> None:
    past = tuple(recovery.Restart(NOW - timedelta(seconds=age), 0) for age in ages)
    recent = sum(1 for age in ages if age < 60)
    found = decide(of(policy), past=past)
    assert bool(found.names) == (recent < 2)
    assert found.pause_s <= 3
    assert found.spent != bool(found.names)


def deploy(policy: str, **root: Any) -> Deployment:
    tree = world.ensemble(
        {
            "db": world.allocation("service", failure_recovery=policy),
            "web": world.allocation("service", failure_recovery=policy, depends_on=["db"]),
        },
        **root,
    )
    deployment = world.submit(world.make_node(), world.make_owner(), tree)
    for name in ("db", "web"):
        deployment_advance(deployment.pk)
        world.started(deployment.allocations.get(name=name))
    assert deployment_advance(deployment.pk) == states.RUNNING
    return deployment


def pauses_over() -> None:
    Allocation.objects.exclude(restart_at=None).update(restart_at=timezone.now() - timedelta(seconds=1))


def claimed(row: Allocation) -> bool:
    return claim(row.pk, now=timezone.now(), lease_s=60) is not None


@pytest.mark.django_db
def test_a_restart_keeps_its_reservation_and_counts_its_attempts() -> None:
    deployment = deploy("one_for_one")
    web = deployment.allocations.get(name="web")
    world.ended(web, "oom_killed", 137)
    assert deployment_advance(deployment.pk) == states.RUNNING
    web.refresh_from_db()
    assert (web.status, web.attempt, web.reason) == ("pending", 2, "oom_killed")
    assert web.execution_id.endswith("-2")
    assert Reservation.objects.filter(state=Reservation.State.ALLOCATED).count() == 2
    assert not claimed(web)
    pauses_over()
    assert claimed(web)
    assert not claimed(web)
    assert world.started(web)
    told = list(web.attempts.values_list("number", "cause", "exit_code", "why"))
    assert told == [(1, "oom_killed", 137, ""), (2, "", None, "oom_killed: as reported")]
    with pytest.raises(IntegrityError), transaction.atomic():
        AllocationAttempt.objects.create(allocation=web, number=3, execution_id="x")


@pytest.mark.django_db
def test_what_the_engine_ended_goes_on_though_it_is_to_stay_down() -> None:
    deployment = deploy("stay_down")
    web = deployment.allocations.get(name="web")
    world.ended(web, "engine_restarted", 137)
    assert deployment_advance(deployment.pk) == states.RUNNING
    assert claimed(web)
    web.refresh_from_db()
    assert (web.status, web.attempt, web.attempts.get(number=2).scope) == ("pending", 2, None)
    Deployment.objects.filter(pk=deployment.pk).update(stop_wanted=True)
    db = deployment.allocations.get(name="db")
    assert deployment_advance(deployment.pk) == states.SHUTTING_DOWN
    db.refresh_from_db()
    world.ended(db, "engine_restarted", 137)
    db.refresh_from_db()
    assert (db.status, db.reason) == ("terminated", "stopped")


@pytest.mark.django_db
def test_a_task_that_completes_while_its_group_is_stopped_is_not_done_twice() -> None:
    tree = world.ensemble(
        {
            "job": world.allocation("task", failure_recovery="one_for_all"),
            "web": world.allocation("service", failure_recovery="one_for_all"),
        }
    )
    deployment = world.submit(world.make_node(), world.make_owner(), tree)
    deployment_advance(deployment.pk)
    job, web = deployment.allocations.get(name="job"), deployment.allocations.get(name="web")
    world.started(job)
    world.started(web)
    deployment_advance(deployment.pk)
    world.ended(web, "killed", 137)
    job.refresh_from_db()
    assert job.stop_wanted
    world.ended(job, "completed", 0)
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("completed", 1)


@pytest.mark.django_db
def test_a_group_is_stopped_from_its_end_and_started_from_its_beginning() -> None:
    deployment = deploy("one_for_all")
    db, web = deployment.allocations.get(name="db"), deployment.allocations.get(name="web")
    world.ended(db, "killed", 137)
    pauses_over()
    web.refresh_from_db()
    assert web.stop_wanted
    assert not claimed(db)
    assert claimed(web)
    world.ended(web, "stopped", None)
    web.refresh_from_db()
    assert (web.status, web.stop_wanted, web.attempt) == ("pending", False, 2)
    pauses_over()
    assert not claimed(web)
    assert claimed(db)
    world.started(db)
    assert claimed(web)


def group_of_two() -> tuple[QuerySet[Allocation], QuerySet[Allocation]]:
    """Return a running pair that is restarted together: `db` with a health check, and `web` that waits for it."""
    check = {"type": "command", "exec": ["true"]}
    tree = world.ensemble(
        {
            "db": world.allocation("service", failure_recovery="one_for_all", healthcheck=check),
            "web": world.allocation("service", failure_recovery="one_for_all", depends_on=["db"]),
        }
    )
    deployment = world.submit(world.make_node(), world.make_owner(), tree)
    db, web = (deployment.allocations.filter(name=name) for name in ("db", "web"))
    deployment_advance(deployment.pk)
    world.started(db.get())
    db.update(health="healthy")
    deployment_advance(deployment.pk)
    world.started(web.get())
    assert deployment_advance(deployment.pk) == states.RUNNING
    return db, web


@pytest.mark.django_db
def test_a_group_that_starts_again_waits_until_the_level_before_is_healthy() -> None:
    db, web = group_of_two()
    world.ended(web.get(), "killed", 137)
    world.ended(db.get(), "stopped", None)
    pauses_over()
    world.started(db.get())
    assert db.get().health == "starting"
    assert not claimed(web.get())
    db.update(health="healthy")
    assert claimed(web.get())


@pytest.mark.django_db
def test_too_often_redeploys_everything_that_has_not_ended() -> None:
    deployment = deploy("one_for_one", escalation_strategy="redeploy")
    web, db = deployment.allocations.get(name="web"), deployment.allocations.get(name="db")
    for _ in range(NUMBERS.allocation_restarts_max):
        world.ended(web, "exit_code", 1)
        pauses_over()
        assert world.started(web)
    db.refresh_from_db()
    assert not db.stop_wanted
    world.ended(web, "exit_code", 1)
    db.refresh_from_db()
    assert (db.stop_wanted, db.restart_why) == (True, "with here.web: exit_code")
    world.ended(db, "stopped", None)
    pauses_over()
    for row in (db, web):
        assert claimed(row)
        assert world.started(row)
    assert deployment_advance(deployment.pk) == states.RUNNING
    assert deployment.allocations.get(name="db").attempt == 2


@pytest.mark.django_db(transaction=True)
def test_a_restart_is_begun_when_its_pause_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str, float | None]] = []

    def send(task: str, args: list[str], countdown: float | None = None, **_: Any) -> None:
        sent.append((task, args[0], countdown))

    deployment = deploy("one_for_one")
    web = deployment.allocations.get(name="web")
    monkeypatch.setattr("node.wake.current_app.send_task", send)
    world.ended(web, "exit_code", 1)
    ((task, key, after_s),) = [one for one in sent if one[0].endswith("execute.start")]
    assert key == web.pk
    assert after_s == pytest.approx(NUMBERS.allocation_backoff_s, abs=0.2)


@pytest.mark.django_db(transaction=True)
def test_a_group_goes_on_without_waiting_for_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    db, web = group_of_two()
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "node.wake.current_app.send_task",
        lambda task, args, **_: sent.append((task.rpartition(".")[2], args[0])),
    )
    world.ended(db.get(), "killed", 137)
    assert ("stop", web.get().pk) in sent
    sent.clear()
    world.ended(web.get(), "stopped", None)
    assert ("start", db.get().pk) in sent
    pauses_over()
    sent.clear()
    world.started(db.get())
    assert not claimed(web.get())
    checked = next(row for row in checked_on(web.get().node_id) if row.allocation_id == db.get().pk)
    sent.clear()
    health_note(checked, state="healthy", failures=0, detail="exit code 0")
    assert ("start", web.get().pk) in sent
    assert claimed(web.get())


@pytest.mark.django_db
def test_too_often_tears_down_and_a_shutdown_during_the_pause_ends_well() -> None:
    deployment = deploy("one_for_one", escalation_strategy="teardown")
    web, db = deployment.allocations.get(name="web"), deployment.allocations.get(name="db")
    for _ in range(NUMBERS.allocation_restarts_max):
        world.ended(web, "exit_code", 1)
        pauses_over()
        assert world.started(web)
    world.ended(web, "exit_code", 1)
    assert deployment_advance(deployment.pk) == states.SHUTTING_DOWN
    world.ended(db, "stopped", None)
    assert deployment_advance(deployment.pk) == states.FAILED
    deployment.refresh_from_db()
    assert "web failed too often, at last: exit_code" in deployment.reason
    assert not Reservation.objects.exists()

    other = deploy("one_for_one")
    web, db = other.allocations.get(name="web"), other.allocations.get(name="db")
    world.ended(web, "exit_code", 1)
    Deployment.objects.filter(pk=other.pk).update(stop_wanted=True)
    deployment_advance(other.pk)
    for row in (web, db):
        assert claimed(row)
        world.ended(row, "stopped", None)
    assert deployment_advance(other.pk) == states.COMPLETED
    assert not Reservation.objects.exists()

"""The engine: each situation leads where the table says, and nothing is held once a deployment has ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capabilities.refusal import Refusal
from deployments import states
from deployments.detail import _notes
from deployments.models import Allocation, Bid, Deployment
from deployments.services import advance
from deployments.services.advance import deployment_advance
from deployments.services.late import waited_for
from deployments.services.timeline import IllegalArrow, move
from node.models import PortReservation, Reservation
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db


def statuses(deployment: Deployment) -> list[str]:
    return [event.data["to"] for event in deployment.events.filter(kind="status")]


def shut_down(deployment: Deployment) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(stop_wanted=True)


def test_a_task_goes_all_the_way() -> None:
    node, owner = world.make_node(), world.make_owner()
    deployment = world.submit(node, owner, world.ensemble({"one": world.allocation()}))
    assert deployment_advance(deployment.pk) == states.PROVISIONING
    row = deployment.allocations.get()
    assert row.start_wanted
    assert row.attempt == 1
    assert row.execution_id.endswith("-1")
    assert Reservation.objects.get().state == Reservation.State.COMMITTED
    assert world.started(row)
    assert Reservation.objects.get().state == Reservation.State.ALLOCATED
    assert deployment_advance(deployment.pk) == states.RUNNING
    assert world.ended(row, "completed")
    assert deployment_advance(deployment.pk) == states.COMPLETED
    assert statuses(deployment) == ["Preparing", "Committing", "Provisioning", "Running", "Completed"]
    assert not Reservation.objects.exists()


def migrating() -> Deployment:
    """A service that waits until a task before it has completed, which runs now."""
    first = world.allocation(ready_when="completed")
    tree = world.ensemble({"migrate": first, "web": world.allocation("service", depends_on=["migrate"])})
    deployment = world.submit(world.make_node(), world.make_owner(), tree)
    deployment_advance(deployment.pk)
    assert world.started(deployment.allocations.get(name="migrate"))
    assert deployment_advance(deployment.pk) == states.PROVISIONING
    assert not deployment.allocations.get(name="web").start_wanted
    return deployment


def test_a_start_waits_until_a_task_has_completed() -> None:
    deployment = migrating()
    late = Deployment.objects.get(pk=deployment.pk)
    assert "migrate had not completed, and others wait for that" in waited_for(late)[0]["message"]
    assert _notes([], list(late.allocations.all()), 2)["Provisioning"] == "until migrate has completed"
    assert world.ended(deployment.allocations.get(name="migrate"), "completed")
    assert deployment_advance(deployment.pk) == states.PROVISIONING
    web = deployment.allocations.get(name="web")
    assert web.start_wanted
    assert world.started(web)
    assert deployment_advance(deployment.pk) == states.RUNNING


@pytest.mark.parametrize("cause", ["exit_code", "stopped"])
def test_what_waits_for_a_task_that_never_completes_fails_with_it(cause: str) -> None:
    deployment = migrating()
    migrate = deployment.allocations.get(name="migrate")
    if cause == "stopped":
        Allocation.objects.filter(pk=migrate.pk).update(stop_wanted=True)
    assert world.ended(migrate, cause, 1)
    assert deployment_advance(deployment.pk) == states.FAILED
    deployment.refresh_from_db()
    said = {"exit_code": "here.migrate: exit_code", "stopped": "here.migrate was stopped, and others wait"}
    assert deployment.reason.startswith(said[cause])
    assert deployment.reasons
    assert deployment.allocations.get(name="web").attempt == 0


def test_a_level_waits_for_the_one_before() -> None:
    node, owner = world.make_node(), world.make_owner()
    tree = world.ensemble(
        {"web": world.allocation("service"), "client": world.allocation(depends_on=["web"])}
    )
    deployment = world.submit(node, owner, tree)
    deployment_advance(deployment.pk)
    web, client = deployment.allocations.get(name="web"), deployment.allocations.get(name="client")
    assert web.start_wanted
    assert not client.start_wanted
    world.started(web)
    assert deployment_advance(deployment.pk) == states.PROVISIONING
    client.refresh_from_db()
    assert client.start_wanted
    world.started(client)
    assert deployment_advance(deployment.pk) == states.RUNNING


def test_a_refused_bid_names_every_number() -> None:
    node, owner = world.make_node(), world.make_owner()
    big = world.allocation(
        resources={"cpu": {"cores": 64}, "ram": {"size": 900}, "disk": {"size": 1}}, executor="process"
    )
    deployment = world.submit(node, owner, world.ensemble({"big": big}))
    assert deployment_advance(deployment.pk) == states.FAILED
    deployment.refresh_from_db()
    assert {"cpu", "ram"} <= {reason["check"] for reason in deployment.reasons}
    assert all(reason["needed"] and reason["available"] for reason in deployment.reasons)
    assert "not placed" in deployment.reason
    assert Bid.objects.get().verdict == Bid.Verdict.REFUSED


def test_nodes_of_one_ensemble_must_fit_together() -> None:
    node, owner = world.make_node(), world.make_owner()
    large = world.allocation(resources={"cpu": {"cores": 1.5}, "ram": {"size": 1}, "disk": {"size": 1}})
    tree = {
        "allocations": {"one": large, "two": large},
        "nodes": {"a": {"allocations": ["one"]}, "b": {"allocations": ["two"]}},
    }
    deployment = world.submit(node, owner, tree)
    assert deployment_advance(deployment.pk) == states.FAILED
    verdicts = dict(Bid.objects.values_list("ensemble_node", "verdict"))
    assert verdicts == {"a": Bid.Verdict.OFFERED, "b": Bid.Verdict.REFUSED}
    assert not Reservation.objects.exists()


def test_a_failed_start_stops_the_rest_and_fails_with_the_reason() -> None:
    node, owner = world.make_node(), world.make_owner()
    tree = world.ensemble({"good": world.allocation("service"), "bad": world.allocation("service")})
    deployment = world.submit(node, owner, tree)
    deployment_advance(deployment.pk)
    good, bad = deployment.allocations.get(name="good"), deployment.allocations.get(name="bad")
    world.started(good)
    world.ended(bad, "image_missing", None)
    assert deployment_advance(deployment.pk) == states.SHUTTING_DOWN
    good.refresh_from_db()
    assert good.stop_wanted
    world.ended(good, "stopped", None)
    assert deployment_advance(deployment.pk) == states.FAILED
    deployment.refresh_from_db()
    assert "image_missing" in deployment.reason
    assert not Reservation.objects.exists()


def test_a_service_that_exits_by_itself_has_failed() -> None:
    node, owner = world.make_node(), world.make_owner()
    deployment = world.submit(node, owner, world.ensemble({"web": world.allocation("service")}))
    deployment_advance(deployment.pk)
    row = deployment.allocations.get()
    world.started(row)
    deployment_advance(deployment.pk)
    world.ended(row, "completed")
    assert deployment_advance(deployment.pk) == states.FAILED
    row.refresh_from_db()
    assert (row.status, row.reason) == (Allocation.Status.FAILED, "exited")


def test_the_deadline_ends_what_does_not_start() -> None:
    node, owner = world.make_node(), world.make_owner()
    deployment = world.submit(node, owner, world.ensemble({"one": world.allocation()}), deadline_s=5)
    deployment_advance(deployment.pk)
    Deployment.objects.filter(pk=deployment.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert deployment_advance(deployment.pk) == states.SHUTTING_DOWN
    world.ended(deployment.allocations.get(), "stopped", None)
    assert deployment_advance(deployment.pk) == states.FAILED
    deployment.refresh_from_db()
    assert "deadline" in deployment.reason


@pytest.mark.parametrize("phase", [states.PREPARING, states.COMMITTING, states.PROVISIONING])
@pytest.mark.parametrize("too_late", [False, True])
def test_a_stop_and_a_deadline_free_everything_in_each_phase(phase: str, too_late: bool) -> None:
    node, owner = world.make_node(), world.make_owner()
    docker = {"type": "docker", "image": "alpine:3"}
    tree = world.ensemble({"one": world.allocation("service", executor="docker", execution=docker)})
    tree["nodes"]["here"]["ports"] = [{"public": 0, "private": 80, "allocation": "one"}]
    deployment = world.submit(node, owner, tree)
    while deployment.status != phase:
        with transaction.atomic():
            assert advance._step(deployment, None)
    assert PortReservation.objects.exists() == (phase == states.PROVISIONING)
    if too_late:
        late = timezone.now() - timedelta(seconds=1)
        Deployment.objects.filter(pk=deployment.pk).update(deadline_at=late)
    else:
        shut_down(deployment)
    assert deployment_advance(deployment.pk) == (states.FAILED if too_late else states.COMPLETED)
    deployment.refresh_from_db()
    waited = {states.PREPARING: "a bid", states.COMMITTING: "the commit"}.get(
        phase, "here.one (its turn had not come)"
    )
    late_text = f"the deadline passed while {phase}: waited for {waited}"
    assert deployment.reason == (late_text if too_late else "")
    assert [reason["check"] for reason in deployment.reasons] == (["deadline"] if too_late else [])
    assert all(reason["needed"] and reason["available"] and reason["hint"] for reason in deployment.reasons)
    assert not Reservation.objects.exists()
    assert not PortReservation.objects.exists()
    assert not deployment.allocations.exclude(status="terminated").exists()


def test_an_impossible_arrow_is_refused_and_a_lost_race_too() -> None:
    node, owner = world.make_node(), world.make_owner()
    deployment = world.submit(node, owner, world.ensemble({"one": world.allocation()}))
    with pytest.raises(IllegalArrow):
        move(deployment, states.RUNNING, "no")
    Deployment.objects.filter(pk=deployment.pk).update(status=states.COMMITTING)
    with pytest.raises(IllegalArrow):
        move(deployment, states.COMMITTING, "somebody was first")


def test_invalid_and_forbidden_ensembles_are_refused_before_a_row_exists() -> None:
    node, owner = world.make_node(), world.make_owner()
    with pytest.raises(Refusal) as invalid:
        world.submit(node, owner, world.ensemble({"one": world.allocation(type=None)}))
    assert invalid.value.code == "invalid_ensemble"
    evil = world.allocation(executor="docker", execution={"type": "docker", "image": "x", "privileged": True})
    with pytest.raises(Refusal) as forbidden:
        world.submit(node, owner, world.ensemble({"evil": evil}))
    assert forbidden.value.code == "confinement"
    with pytest.raises(Refusal) as late:
        world.submit(node, owner, world.ensemble({"one": world.allocation()}), deadline_s=-1)
    assert late.value.code == "deadline_out_of_range"
    assert not Deployment.objects.exists()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["advance", "start", "end", "shutdown", "deadline"]),
        st.integers(0, 3),
        st.sampled_from(["completed", "exit_code", "oom_killed", "killed", "stopped", "gone"]),
    ),
    max_size=25,
)
SHAPES = st.lists(st.sampled_from(["task", "service"]), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SHAPES, st.booleans(), STEPS)
def test_any_order_of_reports_ends_clean(shapes: list[str], chained: bool, steps) -> None:
    node, owner = world.make_node(), world.make_owner()
    tree = {}
    for number, kind in enumerate(shapes):
        after = [f"a{number - 1}"] if chained and number else []
        tree[f"a{number}"] = world.allocation(kind, depends_on=after)
    document = world.ensemble(tree)
    deployment = world.submit(node, owner, document)
    for step, index, cause in steps:
        act(deployment, step, index, cause)
    shut_down(deployment)
    for _ in range(12):
        status = deployment_advance(deployment.pk)
        if status in states.TERMINAL:
            break
        for row in deployment.allocations.filter(stop_wanted=True):
            world.ended(row, "stopped", None)
    deployment.refresh_from_db()
    assert deployment.status in states.TERMINAL
    moves = statuses(deployment)
    assert all(states.legal(a, b) for a, b in zip(moves, moves[1:], strict=False))
    assert not deployment.allocations.exclude(status__in=states.ALLOCATION_TERMINAL).exists()
    assert not Reservation.objects.filter(deployment_id=deployment.pk).exists()
    assert not PortReservation.objects.filter(node=node).exists()
    assert deployment.status == states.COMPLETED or deployment.reason


def act(deployment: Deployment, step: str, index: int, cause: str) -> None:
    rows = list(deployment.allocations.all())
    row = rows[index % len(rows)] if rows else None
    if step == "advance":
        deployment_advance(deployment.pk)
    elif step == "start" and row is not None and row.start_wanted:
        world.started(row)
    elif step == "end" and row is not None and row.status == Allocation.Status.RUNNING:
        world.ended(row, cause, 1)
    elif step == "shutdown":
        shut_down(deployment)
    elif step == "deadline":
        Deployment.objects.filter(pk=deployment.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))

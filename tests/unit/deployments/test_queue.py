"""Waiting for room: in the order of arrival, with the reason shown, within limits, and never for the impossible."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments import states
from deployments.models import BidRequest, Deployment
from deployments.services import commit
from deployments.services.advance import deployment_advance, under_way
from deployments.services.queue import places
from deployments.services.room import ROOM, room_made
from node.models import Node, Onboarding
from node.outside import OUTSIDE
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OUTSIDE, "probe", None)


@pytest.fixture
def node() -> Node:
    return world.make_node()


@pytest.fixture
def owner() -> Identity:
    return world.make_owner()


def sized(cores: float, **root: Any) -> dict[str, Any]:
    resources = {"cpu": {"cores": cores}, "ram": {"size": "1GiB"}, "disk": {"size": "1GiB"}}
    return world.ensemble({"one": world.allocation("service", resources=resources)}, **root)


def deploy(node: Node, owner: Identity, cores: float, **asked: Any) -> Deployment:
    deployment = world.submit(node, owner, sized(cores), **asked)
    deployment_advance(deployment.pk)
    deployment.refresh_from_db()
    return deployment


def end(node: Node, deployment: Deployment) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(stop_wanted=True)
    deployment_advance(deployment.pk)
    for row in deployment.allocations.all():
        world.ended(row, "stopped", None)
    assert deployment_advance(deployment.pk) == states.COMPLETED


def status(deployment: Deployment) -> str:
    deployment.refresh_from_db()
    return "queued" if deployment.queued_at and deployment.status == states.PREPARING else deployment.status


def test_it_waits_with_its_place_and_goes_when_there_is_room(
    node, owner, django_capture_on_commit_callbacks
) -> None:
    first = deploy(node, owner, 1.5)
    assert status(first) == states.PROVISIONING
    second, third = deploy(node, owner, 2, queue=True), deploy(node, owner, 0.5, queue=True)
    assert second.reason == "queued: 2 cores wanted, 0.5 cores free"
    assert "kept for 1 that wait" in third.reasons[0]["message"]
    assert places([third, second, first]) == {second.pk: (1, 2), third.pk: (2, 2)}
    assert [second.pk in under_way(node), first.pk in under_way(node)] == [False, True]
    deadline = second.deadline_at
    assert second.queued_at is not None
    Deployment.objects.filter(pk=second.pk).update(queued_at=second.queued_at - timedelta(hours=1))
    rounds = BidRequest.objects.count()
    room_made(node)
    assert status(second) == "queued"
    assert BidRequest.objects.count() == rounds
    end(node, first)
    room_made(node)
    assert (status(second), status(third)) == (states.PROVISIONING, "queued")
    assert second.reason == ""
    assert second.queued_at is None
    assert second.deadline_at - deadline >= timedelta(hours=1)
    assert third.reason == "queued: 0.5 cores wanted, 0 cores free"
    end(node, second)
    room_made(node)
    assert status(third) == states.PROVISIONING


def test_the_reason_stays_fresh_while_it_waits(node, owner) -> None:
    first, second = deploy(node, owner, 1), deploy(node, owner, 1)
    waits, behind = deploy(node, owner, 2, queue=True), deploy(node, owner, 0.5, queue=True)
    assert waits.reason == "queued: 2 cores wanted, 0 cores free"
    end(node, first)
    room_made(node)
    assert (status(waits), status(behind)) == ("queued", "queued")
    assert waits.reason == "queued: 2 cores wanted, 1 core free"
    assert waits.reasons[0]["available"] == "1 core"
    assert behind.reason == "queued: 0.5 cores wanted, 0 cores free"
    end(node, second)
    room_made(node)
    assert (status(waits), waits.reason) == (states.PROVISIONING, "")


def test_freed_resources_wake_a_worker_only_while_somebody_waits(node, owner, monkeypatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr("deployments.services.room.wake", lambda task, *args, queue: woken.append(task))
    first, second = deploy(node, owner, 1), deploy(node, owner, 1)
    end(node, first)
    assert woken == []
    deploy(node, owner, 2, queue=True)
    end(node, second)
    assert set(woken) == {ROOM}


def test_who_does_not_queue_never_takes_what_is_kept(node, owner) -> None:
    first = deploy(node, owner, 1.5)
    waits = deploy(node, owner, 1, queue=True)
    pushy = deploy(node, owner, 0.5)
    assert status(pushy) == states.FAILED
    assert "kept for 1 that wait in the queue" in pushy.reason
    assert pushy.reasons[0]["hint"]
    end(node, first)
    room_made(node)
    assert status(waits) == states.PROVISIONING


def test_the_impossible_is_refused_at_once(node, owner) -> None:
    deploy(node, owner, 2)
    assert status(deploy(node, owner, 64, queue=True)) == states.FAILED
    assert not places(list(Deployment.objects.all()))


def test_what_is_onboarded_may_shrink_below_who_waits(node, owner) -> None:
    first = deploy(node, owner, 1)
    waits, behind = deploy(node, owner, 2, queue=True), deploy(node, owner, 1, queue=True)
    end(node, first)
    Onboarding.objects.filter(node=node).update(cpu_centicores=100)
    room_made(node)
    assert (status(waits), status(behind)) == (states.FAILED, states.PROVISIONING)
    assert "2 cores" in waits.reason


def test_the_queue_has_its_own_limit_and_the_deadline_stands_still(node, owner) -> None:
    deploy(node, owner, 2)
    waits = deploy(node, owner, 1, queue=True, queue_s=60, deadline_s=5)
    Deployment.objects.filter(pk=waits.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert waits.pk not in under_way(node)
    assert deployment_advance(waits.pk) == states.PREPARING
    Deployment.objects.filter(pk=waits.pk).update(queue_until=timezone.now() - timedelta(seconds=1))
    assert waits.pk in under_way(node)
    assert deployment_advance(waits.pk) == states.FAILED
    waits.refresh_from_db()
    assert waits.reason.startswith("not placed within its time in the queue")
    assert waits.reasons
    with pytest.raises(Refusal) as refused:
        deploy(node, owner, 1, queue=True, queue_s=1e9)
    assert refused.value.code == "queue_time_out_of_range"


def test_a_queued_one_can_be_cancelled(node, owner) -> None:
    deploy(node, owner, 2)
    waits = deploy(node, owner, 1, queue=True)
    Deployment.objects.filter(pk=waits.pk).update(stop_wanted=True)
    assert waits.pk in under_way(node)
    assert deployment_advance(waits.pk) == states.COMPLETED
    waits.refresh_from_db()
    assert (waits.reason, waits.reasons, waits.queued_at) == ("", [], None)


def test_a_draining_node_keeps_its_queue(node, owner) -> None:
    Node.objects.filter(pk=node.pk).update(draining_at=timezone.now())
    waits = deploy(node, owner, 1, queue=True)
    assert status(waits) == "queued"
    assert "takes no new work" in waits.reason
    room_made(node)
    assert status(waits) == "queued"
    Node.objects.filter(pk=node.pk).update(draining_at=None)
    room_made(node)
    assert status(waits) == states.PROVISIONING


def test_an_engine_that_has_gone_away_is_waited_for_and_keeps_nothing(node, owner) -> None:
    first = deploy(node, owner, 2)
    tree = sized(1)
    tree["allocations"]["one"] |= {"executor": "docker", "execution": {"type": "docker", "image": "x"}}
    waits = world.submit(node, owner, tree, queue=True)
    deployment_advance(waits.pk)
    behind = deploy(node, owner, 1.5, queue=True)
    node.executors["docker"]["available"] = False
    node.save()
    end(node, first)
    room_made(node)
    assert (status(waits), status(behind)) == ("queued", states.PROVISIONING)
    refused = world.submit(node, owner, tree, queue=True)
    assert deployment_advance(refused.pk) == states.FAILED
    node.executors["docker"]["available"] = True
    node.save()
    end(node, behind)
    room_made(node)
    assert status(waits) == states.PROVISIONING


def test_a_refused_commit_asks_again_and_loses_no_place(node, owner, monkeypatch) -> None:
    first = deploy(node, owner, 1)
    second, third = deploy(node, owner, 2, queue=True), deploy(node, owner, 1, queue=True)
    end(node, first)
    refusals = iter(range(5))
    real = commit.commit_placement

    def refuse(*given: Any) -> None:
        if next(refusals, None) is None:
            return real(*given)
        raise Refusal("ports_not_available", "somebody was first", status=409)

    monkeypatch.setattr("deployments.services.advance.commit_placement", refuse)
    room_made(node)
    assert (status(second), status(third)) == (states.PROVISIONING, "queued")
    assert second.attempt > 5


def test_many_who_wait_cost_a_fixed_number_of_queries(node, owner) -> None:
    deploy(node, owner, 2)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            room_made(node)
        return len(seen)

    for _ in range(2):
        deploy(node, owner, 1, queue=True)
    few = queries()
    for _ in range(30):
        deploy(node, owner, 1, queue=True)
    assert queries() == few
    assert few < 15


def lose_engine(node: Node, ago_s: float) -> None:
    lost_at = (timezone.now() - timedelta(seconds=ago_s)).isoformat()
    gone = {"available": False, "detail": "it does not answer", "hint": "", "lost_at": lost_at}
    Node.objects.filter(pk=node.pk).update(executors=node.executors | {"process": gone})


def test_what_comes_in_while_an_engine_restarts_waits_for_it(node: Node, owner: Identity) -> None:
    lose_engine(node, 3)
    waits = deploy(node, owner, 0.5)
    assert (waits.status, waits.queued_at is None, "executor process" in waits.reason) == (
        states.PREPARING,
        False,
        True,
    )
    assert waits.pk not in under_way(node)
    Node.objects.filter(pk=node.pk).update(executors=node.executors)
    node.refresh_from_db()
    room_made(node)
    waits.refresh_from_db()
    assert (waits.status, waits.queued_at, waits.queue_until) == (states.PROVISIONING, None, None)


def test_an_engine_that_stays_away_is_not_waited_for_any_longer(node: Node, owner: Identity) -> None:
    lose_engine(node, NUMBERS.executor_outage_s + 1)
    assert deploy(node, owner, 0.5).status == states.FAILED
    lose_engine(node, 3)
    waits = deploy(node, owner, 0.5)
    Deployment.objects.filter(pk=waits.pk).update(queue_until=timezone.now() - timedelta(seconds=1))
    assert waits.pk in under_way(node)
    deployment_advance(waits.pk)
    waits.refresh_from_db()
    assert (waits.status, "executor process is not available" in waits.reason) == (states.FAILED, True)
    never = Node.objects.get(pk=node.pk)
    never.executors = {"process": {"available": False, "detail": "not here", "hint": ""}}
    never.save(update_fields=["executors"])
    assert deploy(never, owner, 0.5).status == states.FAILED


def test_what_fails_for_another_reason_too_does_not_wait(node: Node, owner: Identity) -> None:
    lose_engine(node, 3)
    assert deploy(node, owner, 99).status == states.FAILED

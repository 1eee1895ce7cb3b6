"""Rows and what runs are brought together again after anything: real sandboxes, real rows, no worker needed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import close_old_connections

from deployments import states
from deployments.logquery import LogQuery
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance
from deployments.services.allocations import drop_leases
from node.models import Node, Reservation
from tests.support.require import require
from tests.unit.deployments import world
from workers import reconcile, run
from workers.executors import registry
from workers.executors.base import State
from workers.logs import AllocationLogs, folder_of

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_S = 30


@pytest.fixture
def node() -> Iterator[Node]:
    require("cgroup")
    made = world.make_node()
    yield made
    executor = registry.executors(made.identity.did)["process"]
    for execution in executor.executions(made.identity.did):
        executor.remove(execution.execution_id)


def command(*words: str) -> dict[str, Any]:
    return {"execution": {"type": "process", "cmd": list(words)}}


def deploy(node: Node, kind: str, *words: str) -> Allocation:
    owner = world.make_owner()
    tree = world.ensemble({"one": world.allocation(kind, **command(*words))})
    deployment = world.submit(node, owner, tree)
    deployment_advance(deployment.pk)
    return deployment.allocations.get()


def eventually(condition: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < limit, f"never: {what}"
        time.sleep(0.05)


def ended(row: Allocation) -> bool:
    run.collect(row.execution_id)
    row.refresh_from_db()
    return row.status in states.ALLOCATION_TERMINAL


def status_of(row: Allocation) -> str:
    return Deployment.objects.get(pk=row.deployment_id).status


def test_a_task_runs_and_leaves_nothing_but_its_log(node: Node) -> None:
    row = deploy(node, "task", "sh", "-c", "echo out; echo err >&2")
    run.allocation_start(row.pk)
    eventually(lambda: ended(row), "the task ended")
    assert (row.status, row.exit_code) == ("completed", 0)
    assert status_of(row) == states.COMPLETED
    source = AllocationLogs()
    assert b"".join(source.read(row.pk, LogQuery(stream="stdout"))) == b"out\n"
    assert b"".join(source.read(row.pk, LogQuery(stream="stderr"))) == b"err\n"
    assert folder_of(row).is_relative_to(settings.DMS_HOME.root)
    assert registry.executors(node.identity.did)["process"].executions(node.identity.did) == []
    assert not Reservation.objects.exists()


def test_what_runs_is_adopted_by_a_new_worker(node: Node) -> None:
    row = deploy(node, "service", "sleep", "600")
    run.allocation_start(row.pk)
    row.refresh_from_db()
    assert row.status == "running"
    registry._made.clear()
    drop_leases(node.pk)
    reconcile.compare(node)
    reconcile.take_up(node)
    row.refresh_from_db()
    assert (row.status, row.attempt) == ("running", 1)
    executor = registry.executors(node.identity.did)["process"]
    assert [item.state for item in executor.executions(node.identity.did)] == [State.RUNNING]


def test_an_end_that_nobody_saw_is_found(node: Node) -> None:
    row = deploy(node, "service", "sh", "-c", "exit 3")
    run.allocation_start(row.pk)

    def found() -> bool:
        reconcile.compare(node)
        row.refresh_from_db()
        return row.status == "failed"

    eventually(found, "the end was found")
    assert (row.reason, row.exit_code) == ("exit_code", 3)
    assert status_of(row) == states.FAILED


def test_what_no_row_wants_is_removed(node: Node) -> None:
    row = deploy(node, "service", "sleep", "600")
    run.allocation_start(row.pk)
    Allocation.objects.filter(pk=row.pk).update(status="terminated")
    executor = registry.executors(node.identity.did)["process"]
    assert executor.inspect(row.execution_id).state == State.RUNNING
    reconcile.compare(node)
    assert executor.inspect(row.execution_id).state == State.GONE


def test_lost_wake_ups_are_taken_up_by_the_sweep(node: Node) -> None:
    row = deploy(node, "service", "sleep", "600")
    reconcile.take_up(node)
    row.refresh_from_db()
    assert row.status == "running"
    assert status_of(row) == states.RUNNING
    Deployment.objects.filter(pk=row.deployment_id).update(stop_wanted=True)
    reconcile.take_up(node)
    reconcile.take_up(node)
    row.refresh_from_db()
    assert row.status == "terminated"
    assert status_of(row) == states.COMPLETED


def test_two_workers_never_start_one_allocation_twice(node: Node) -> None:
    row = deploy(node, "service", "sleep", "600")
    gate = threading.Barrier(4)

    def worker() -> None:
        gate.wait()
        run.allocation_start(row.pk)
        close_old_connections()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    row.refresh_from_db()
    assert (row.status, row.attempt) == ("running", 1)
    executor = registry.executors(node.identity.did)["process"]
    assert len(executor.executions(node.identity.did)) == 1
    assert row.events.filter(text__contains="started").count() == 1


def test_a_command_that_does_not_exist_says_so(node: Node) -> None:
    row = deploy(node, "task", "no-such-program")
    run.allocation_start(row.pk)
    eventually(lambda: ended(row), "the start failed")
    assert row.status == "failed"
    assert "no-such-program" in row.detail
    deployment = Deployment.objects.get(pk=row.deployment_id)
    assert deployment.status == states.FAILED
    assert "no-such-program" in deployment.reason


@pytest.mark.sqlite  # it forks, and a fork would share PostgreSQL's connection
def test_a_worker_killed_while_starting_leaves_work_that_is_taken_up(node: Node) -> None:
    row = deploy(node, "service", "sleep", "600")
    pid = os.fork()
    if pid == 0:  # a worker that dies with the claim in its hand
        try:
            from django.db import connections
            from django.utils import timezone

            from deployments.services.allocations import claim

            connections.close_all()
            claim(row.pk, now=timezone.now(), lease_s=600)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    row.refresh_from_db()
    assert row.lease_until is not None
    reconcile.take_up(node)
    row.refresh_from_db()
    assert row.status == "pending"
    drop_leases(node.pk)
    reconcile.take_up(node)
    row.refresh_from_db()
    assert (row.status, row.attempt) == ("running", 1)


def test_a_service_that_exits_is_started_again_by_the_sweep(node: Node) -> None:
    restart = {"failure_recovery": "one_for_one", "restart": {"max": 1, "backoff": "100ms"}}
    tree = world.ensemble({"one": world.allocation("service", **command("sh", "-c", "exit 3"), **restart)})
    deployment = world.submit(node, world.make_owner(), tree)
    deployment_advance(deployment.pk)
    row = deployment.allocations.get()

    def failed() -> bool:
        reconcile.take_up(node)
        reconcile.compare(node)
        row.refresh_from_db()
        return row.status == "failed"

    eventually(failed, "it was given up")
    assert list(row.attempts.values_list("number", "cause", "exit_code")) == [
        (1, "exit_code", 3),
        (2, "exit_code", 3),
    ]
    executor = registry.executors(node.identity.did)["process"]
    assert executor.executions(node.identity.did) == []
    assert status_of(row) == states.FAILED
    assert not Reservation.objects.exists()

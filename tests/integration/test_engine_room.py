"""Faults in the engine room: each ends with its reason, none keeps others waiting, no log is lost on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from deployments import states
from deployments.logquery import LogQuery
from deployments.logtext import Piece
from deployments.models import Allocation, Deployment
from deployments.services import allocations
from deployments.services.advance import deployment_advance, under_way
from node.models import Node, Reservation
from tests.support.require import require
from tests.support.services import wait_for
from tests.unit.deployments import world
from workers import reconcile, run
from workers.executors import registry
from workers.executors.base import Cause, ExecutorError, State
from workers.logs import AllocationLogs, folder_of, keep_logs

pytestmark = pytest.mark.django_db(transaction=True)

# One file alone cannot grow beyond what was granted.
FILL = "for name in 1 2 3; do head -c 900000 /dev/zero > $name; done; echo full; sleep 600"


@pytest.fixture
def node() -> Iterator[Node]:
    require("cgroup")
    made = world.make_node()
    yield made
    executor = registry.executors(made.identity.did)["process"]
    for execution in executor.executions(made.identity.did):
        executor.remove(execution.execution_id)


def submit(node: Node, kind: str, *words: str, count: int = 1, **changes: Any) -> Deployment:
    execution = {"execution": {"type": "process", "cmd": list(words)}} | changes
    small = {"cpu": {"cores": 0.1}, "ram": {"size": "64MiB"}, "disk": {"size": "1MiB"}}
    one = world.allocation(kind, resources=small, **execution)
    tree = world.ensemble({f"a{number}": one for number in range(count)})
    deployment = world.submit(node, world.make_owner(), tree)
    deployment_advance(deployment.pk)
    return deployment


def started(node: Node, kind: str, *words: str) -> Allocation:
    row = submit(node, kind, *words).allocations.get()
    run.allocation_start(row.pk)
    row.refresh_from_db()
    return row


def status_of(row: Allocation | Deployment) -> str:
    key = row.deployment_id if isinstance(row, Allocation) else row.pk
    return Deployment.objects.get(pk=key).status


def text(row: Allocation, stopped: Callable[[], bool] = lambda: False, **how: Any) -> bytes:
    return b"".join(AllocationLogs().read(row.pk, LogQuery(stream="stdout", **how), stopped=stopped))


def test_a_start_that_nobody_foresaw_failing_fails_with_its_reason(node: Node) -> None:
    row = submit(node, "task", "true").allocations.get()
    Allocation.objects.filter(pk=row.pk).update(spec=row.spec | {"granted": {"cpu": "?"}})
    run.allocation_start(row.pk)
    row.refresh_from_db()
    assert (row.status, row.reason, row.lease_until) == ("failed", "start_failed", None)
    assert row.detail.startswith("the node could not prepare it: ")
    assert status_of(row) == states.FAILED
    assert not Reservation.objects.exists()


def test_a_row_that_cannot_be_read_keeps_no_other_waiting(node: Node) -> None:
    broken = world.submit(node, world.make_owner(), world.ensemble({"one": world.allocation()}))
    Deployment.objects.filter(pk=broken.pk).update(
        ensemble={"V1": {"allocations": 1}}, created_at=timezone.now()
    )
    good = world.submit(node, world.make_owner(), world.ensemble({"one": world.allocation()}))
    reconcile.take_up(node)
    assert status_of(good) in {states.RUNNING, states.COMPLETED}
    late = timezone.now() - timedelta(seconds=1)
    Deployment.objects.filter(pk=broken.pk).update(deadline_at=late)
    reconcile.take_up(node)
    assert status_of(broken) == states.FAILED


def test_the_sweep_leaves_alone_what_just_runs(node: Node) -> None:
    row = started(node, "service", "sleep", "600")
    assert status_of(row) == states.RUNNING
    assert under_way(node) == []
    Deployment.objects.filter(pk=row.deployment_id).update(stop_wanted=True)
    assert under_way(node) == [row.deployment_id]
    reconcile.take_up(node)
    reconcile.take_up(node)
    assert status_of(row) == states.COMPLETED
    assert under_way(node) == []


def test_what_has_passed_its_deadline_is_not_started_any_more(node: Node) -> None:
    deployment = submit(node, "service", "sleep", "600")
    late = timezone.now() - timedelta(seconds=1)
    Deployment.objects.filter(pk=deployment.pk).update(deadline_at=late)
    reconcile.take_up(node)
    assert status_of(deployment) == states.FAILED
    assert not deployment.events.filter(text__contains="a0 started").exists()
    assert deployment.allocations.get().status == "terminated"


def test_each_allocation_is_told_to_stop_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = submit(node, "service", "sleep", "600", count=6)
    woken: list[str] = []

    def wake(task: str, key: str, *, queue: str) -> None:
        if task == allocations.STOP:
            woken.append(key)

    monkeypatch.setattr(allocations, "wake", wake)
    Deployment.objects.filter(pk=deployment.pk).update(stop_wanted=True)
    for row in deployment.allocations.all():
        deployment_advance(deployment.pk)
        run.allocation_stop(row.pk)
    assert status_of(deployment) == states.COMPLETED
    assert sorted(woken) == sorted(deployment.allocations.values_list("pk", flat=True))


def test_what_never_ran_can_be_stopped_without_its_engine(
    node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    registry._made.clear()
    docker = {"type": "docker", "image": "alpine:3", "cmd": ["true"]}
    deployment = submit(node, "service", executor="docker", execution=docker)
    row = deployment.allocations.get()
    run.allocation_start(row.pk)
    row.refresh_from_db()
    assert (row.status, row.lease_until) == ("pending", None)
    assert row.progress.startswith("waiting: ")
    Deployment.objects.filter(pk=deployment.pk).update(stop_wanted=True)
    deployment_advance(deployment.pk)
    run.allocation_stop(row.pk)
    assert status_of(deployment) == states.COMPLETED
    registry._made.clear()


def test_a_stop_that_waits_for_the_engine_says_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    row = started(node, "service", "sleep", "600")
    executor = registry.executors(node.identity.did)["process"]

    def away(*_: object) -> None:
        raise ExecutorError(Cause.ENGINE_UNREACHABLE, "the engine is away", transient=True)

    Deployment.objects.filter(pk=row.deployment_id).update(stop_wanted=True)
    with monkeypatch.context() as patched:
        patched.setattr(executor, "stop", away)
        reconcile.take_up(node)
    row.refresh_from_db()
    assert (row.status, row.progress, row.lease_until) == ("running", "waiting: the engine is away", None)
    reconcile.take_up(node)
    assert status_of(row) == states.COMPLETED


def test_an_ended_allocation_leaves_no_folder(node: Node) -> None:
    row = started(node, "task", "true")

    def ended() -> bool:
        run.collect(row.execution_id)
        return status_of(row) == states.COMPLETED

    wait_for(ended, what="its end")
    assert not run.work_dir(row).exists()


def test_a_disk_that_is_full_of_it_ends_an_allocation(node: Node) -> None:
    row = started(node, "service", "sh", "-c", FILL)
    wait_for(lambda: text(row) == b"full\n", what="its writing")
    run.enforce_disk(Allocation.objects.get(pk=row.pk))
    row.refresh_from_db()
    assert (row.status, row.reason) == ("failed", "disk_limit")
    assert "disk_limit" in Deployment.objects.get(pk=row.deployment_id).reason


def test_what_is_just_being_removed_uses_no_disk(node: Node) -> None:
    row = started(node, "service", "sleep", "600")
    executor = registry.executors(node.identity.did)["process"]
    (work,) = settings.DMS_HOME.path("work", "process").glob(f"*/{row.execution_id}/work")
    shutil.rmtree(work)
    assert executor.disk_used_bytes(row.execution_id) == 0


def test_a_kept_log_is_never_replaced_by_less(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    row = started(node, "service", "sh", "-c", "echo kept; sleep 600")
    wait_for(lambda: text(row) == b"kept\n", what="the line")
    AllocationLogs().write(row.pk)
    executor = registry.executors(node.identity.did)["process"]

    def away(*_: object, **__: object) -> Iterator[list[Piece]]:
        yield [(1, 1, b"ke")]
        raise ExecutorError(Cause.ENGINE_UNREACHABLE, "away", transient=True)

    with monkeypatch.context() as patched:
        patched.setattr(executor, "pieces", away)
        keep_logs(row)
    assert (folder_of(row) / "stdout.log").read_bytes() == b"kept\n"
    executor.remove(row.execution_id)
    run.collect(row.execution_id)
    row.refresh_from_db()
    assert (row.status, row.reason) == ("failed", "gone")
    assert text(row) == b"kept\n"


def test_a_reader_that_comes_just_after_the_removal_gets_the_kept_log(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = started(node, "service", "sh", "-c", "echo kept; sleep 600")
    wait_for(lambda: text(row) == b"kept\n", what="the line")
    executor = registry.executors(node.identity.did)["process"]
    real = executor.pieces

    def removed_meanwhile(*arguments: Any, **options: Any) -> Iterator[list[Piece]]:
        with monkeypatch.context() as patched:
            patched.setattr(executor, "pieces", real)
            Allocation.objects.filter(pk=row.pk).update(stop_wanted=True)
            run.allocation_stop(row.pk)
        raise ExecutorError(Cause.GONE, "removed")
        yield []

    monkeypatch.setattr(executor, "pieces", removed_meanwhile)
    assert text(row) == b"kept\n"


def test_a_follower_waits_for_the_start(node: Node) -> None:
    row = submit(node, "task", "sh", "-c", "sleep 0.3; echo late").allocations.get()
    waited: list[int] = []

    def asked() -> bool:
        waited.append(1)
        if len(waited) == 2:
            run.allocation_start(row.pk)
        row.refresh_from_db(fields=["execution_id"])
        if row.execution_id:
            # The start does not look at the end; here no sweep of a worker does either.
            run.collect(row.execution_id)
        return False

    assert text(row, follow=True, stopped=asked) == b"late\n"


def test_the_execution_is_gone_before_the_deployment_has_ended(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = started(node, "service", "sleep", "600")
    executor = registry.executors(node.identity.did)["process"]
    seen: list[State] = []

    def look(deployment_id: str) -> str:
        seen.append(executor.inspect(row.execution_id).state)
        return deployment_advance(deployment_id)

    monkeypatch.setattr(run, "deployment_advance", look)
    Deployment.objects.filter(pk=row.deployment_id).update(stop_wanted=True)
    deployment_advance(row.deployment_id)
    run.allocation_stop(row.pk)
    assert seen == [State.GONE]
    assert status_of(row) == states.COMPLETED


def test_an_end_that_the_listing_shows_is_collected_without_looking_at_what_runs(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, ended = started(node, "service", "sleep", "600"), started(node, "service", "sh", "-c", "sleep 0.3")
    looked: list[str] = []
    real = run.collect

    def collect(execution_id: str) -> None:
        looked.append(execution_id)
        real(execution_id)

    monkeypatch.setattr(reconcile, "collect", collect)
    executor = registry.executors(node.identity.did)["process"]
    wait_for(
        lambda: executor.inspect(ended.execution_id).state == State.EXITED, what="the end of the quick one"
    )
    reconcile.compare(node)
    assert looked == [ended.execution_id]
    wait_for(partial(Allocation.objects.filter(pk=runs.pk, status="running").exists), what="the other")


def test_an_attempt_that_runs_too_long_is_ended_with_its_reason(node: Node) -> None:
    row = submit(node, "task", "sleep", "600", max_runtime="1s").allocations.get()
    run.allocation_start(row.pk)
    row.refresh_from_db()
    assert row.status == "running"

    def over() -> bool:
        reconcile.take_up(node)
        run.collect(row.execution_id)
        row.refresh_from_db()
        return row.status != "running"

    wait_for(over, what="its end", every_s=0.3)
    assert (row.status, row.reason) == ("failed", "max_runtime")
    assert "1 s, its max_runtime" in row.detail
    assert status_of(row) == states.FAILED

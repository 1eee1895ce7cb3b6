"""A worker that starts watches first, whatever else fails; periodic turns never pile up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from deployments.models import Allocation
from deployments.services.advance import deployment_advance
from tests.unit.deployments import world
from workers import lifecycle, reconcile
from workers.tasks import execute

WAIT_S = 10


class Watched:
    """An executor that only says that it is being watched."""

    name = "watched"

    def __init__(self) -> None:
        self.seen = threading.Event()

    def watch(self, node_did: str, ended: Any, stop: threading.Event) -> None:
        self.seen.set()
        stop.wait(WAIT_S)


@pytest.mark.django_db
def test_nothing_that_fails_keeps_the_executions_from_being_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    node, executor, stop = world.make_node(), Watched(), threading.Event()
    done: list[str] = []

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(lifecycle, "STOP", stop)
    monkeypatch.setattr(lifecycle, "local_node", lambda: node)
    monkeypatch.setattr(lifecycle, "executors", lambda did: {"watched": executor})
    monkeypatch.setattr(lifecycle, "close_old_connections", lambda: None)
    for name in ("record_executors", "record_facts", "record_sample"):
        monkeypatch.setattr(lifecycle, name, fail)
    monkeypatch.setattr(reconcile, "take_up", fail)
    monkeypatch.setattr(reconcile, "compare", lambda node: done.append("compared"))
    try:
        lifecycle._take_over()
        assert executor.seen.wait(WAIT_S)
        assert done == ["compared"]
    finally:
        stop.set()


@pytest.mark.django_db
def test_claims_of_the_worker_before_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.make_node()
    deployment = world.submit(node, world.make_owner(), world.ensemble({"one": world.allocation()}))
    deployment_advance(deployment.pk)
    Allocation.objects.update(lease_until=timezone.now())
    monkeypatch.setattr(lifecycle, "local_node", lambda: node)
    monkeypatch.setattr(lifecycle, "close_old_connections", lambda: None)
    lifecycle.forget_claims()
    assert not Allocation.objects.exclude(lease_until=None).exists()


def test_a_turn_passes_while_the_one_before_is_still_at_it() -> None:
    begun, gate, turns = threading.Event(), threading.Event(), list[int]()

    @execute.alone
    def slow() -> None:
        turns.append(1)
        begun.set()
        gate.wait(WAIT_S)

    first = threading.Thread(target=slow)
    first.start()
    assert begun.wait(WAIT_S)
    slow()
    assert turns == [1]
    gate.set()
    first.join(WAIT_S)
    slow()
    assert turns == [1, 1]

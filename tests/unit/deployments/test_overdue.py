"""What has run for as long as it may is ended, services well and tasks as failed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from deployments import states
from deployments.ensemble.model import Ensemble
from deployments.models import Allocation
from deployments.services.advance import deployment_advance
from deployments.services.overdue import overdue_allocations, overdue_stop
from tests.unit.deployments import world


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "end"), [("service", states.COMPLETED), ("task", states.FAILED)])
def test_it_ends_after_its_time_and_not_before(kind: str, end: str) -> None:
    node = world.make_node()
    tree = world.ensemble({"one": world.allocation(kind)}, max_runtime="1h")
    deployment = world.submit(node, world.make_owner(), tree)
    deployment_advance(deployment.pk)
    row = deployment.allocations.get()
    world.started(row)
    deployment_advance(deployment.pk)
    now = timezone.now()
    assert overdue_stop(node, now + timedelta(minutes=59)) == 0
    assert overdue_stop(node, now + timedelta(minutes=61)) == 1
    assert deployment_advance(deployment.pk) == states.SHUTTING_DOWN
    world.ended(row, "stopped", None)
    assert deployment_advance(deployment.pk) == end
    deployment.refresh_from_db()
    assert ("max_runtime" in deployment.reason) == (end == states.FAILED)


@pytest.mark.django_db
def test_an_attempt_is_overdue_after_its_own_time() -> None:
    node = world.make_node()
    limited = world.allocation("service", max_runtime="1h")
    deployment = world.submit(
        node, world.make_owner(), world.ensemble({"one": limited, "two": world.allocation("service")})
    )
    deployment_advance(deployment.pk)
    for row in deployment.allocations.all():
        world.started(row)
    row = deployment.allocations.get(name="one")
    assert row.started_at is not None
    assert overdue_allocations(node, row.started_at + timedelta(minutes=59)) == []
    ((executor, execution, why),) = overdue_allocations(node, row.started_at + timedelta(minutes=60))
    assert (executor, execution, "3600 s" in why) == (row.executor, row.execution_id, True)
    Allocation.objects.filter(pk=row.pk).update(stop_wanted=True)
    assert overdue_allocations(node, row.started_at + timedelta(hours=2)) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("own", "asked", "holds"), [("1h", 60.0, 60), ("1m", 3600.0, 60), (None, 90.5, 90.5), ("1h", None, 3600)]
)
def test_the_shorter_of_the_ensembles_and_the_askers_time_holds(
    own: str | None, asked: float | None, holds: float
) -> None:
    root = {"max_runtime": own} if own else {}
    tree = world.ensemble({"one": world.allocation("service")}, **root)
    deployment = world.submit(world.make_node(), world.make_owner(), tree, max_runtime_s=asked)
    assert Ensemble.from_document(deployment.ensemble).max_runtime_s == holds

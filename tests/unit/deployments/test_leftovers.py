"""A ledger that disagrees with the allocations is mended, both ways; what is young or of another node is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from capabilities.numbers import NUMBERS
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance
from deployments.services.leftovers import leftovers_mend
from node.models import Node, NodeEvent, PortReservation, Reservation
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db


def running(node: Node) -> Allocation:
    deployment = world.submit(node, world.make_owner(), world.ensemble({"one": world.allocation("service")}))
    deployment_advance(deployment.pk)
    row = deployment.allocations.get()
    world.started(row)
    deployment_advance(deployment.pk)
    row.refresh_from_db()
    return row


def aged() -> None:
    """Let everything have happened two sweeps ago."""
    then = timezone.now() - timedelta(seconds=2 * NUMBERS.sweep_idle_s)
    Reservation.objects.update(created_at=then)
    PortReservation.objects.update(created_at=then)
    Allocation.objects.update(started_at=then)


def test_all_is_well_and_nothing_is_touched() -> None:
    node = world.make_node()
    running(node)
    aged()
    assert leftovers_mend(node, timezone.now()) == []
    assert Reservation.objects.count() == 1
    assert not NodeEvent.objects.exists()


def test_lines_and_ports_of_nobody_are_freed_once_they_are_old() -> None:
    node, other = world.make_node(), world.make_node()
    row, foreign = running(node), running(other)
    PortReservation.objects.create(node=node, port=20_000, allocation_id=row.pk)
    PortReservation.objects.create(node=other, port=20_000, allocation_id=foreign.pk)
    Deployment.objects.all().update(status="Completed")
    Allocation.objects.all().update(status="terminated")
    assert leftovers_mend(node, timezone.now()) == []
    aged()
    said = leftovers_mend(node, timezone.now())
    assert said == [f"{row.pk} has ended or is gone: what it held is freed"]
    assert [line.allocation_id for line in Reservation.objects.all()] == [foreign.pk]
    assert [port.allocation_id for port in PortReservation.objects.all()] == [foreign.pk]
    assert list(NodeEvent.objects.filter(node=node).values_list("text", flat=True)) == said
    assert leftovers_mend(node, timezone.now()) == []


def test_what_runs_without_a_line_is_counted_again() -> None:
    node = world.make_node()
    row = running(node)
    before = Reservation.objects.values("cpu_centicores", "ram_bytes", "disk_bytes", "state", "owner").get()
    aged()
    Reservation.objects.all().delete()
    assert len(leftovers_mend(node, timezone.now())) == 1
    assert (
        Reservation.objects.values("cpu_centicores", "ram_bytes", "disk_bytes", "state", "owner").get()
        == before
    )
    assert Reservation.objects.get().allocation_id == row.pk
    assert leftovers_mend(node, timezone.now()) == []

"""Where the ledger and the ports disagree with the allocations: what is of nobody is freed, what runs is counted."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from capabilities.numbers import NUMBERS
from deployments import states
from deployments.models import Allocation
from node.models import Node, PortReservation, Reservation
from node.resources import Resources
from node.services import ledger
from node.services.machine import node_event


def leftovers_mend(node: Node, now: datetime) -> list[str]:
    """Free lines and ports whose allocation is gone or has ended, and write the line of what runs without one.

    Returns a sentence for each; every one is an event of the node, too. What is younger than a minute is left alone:
    somebody may be at it.
    """
    old = now - timedelta(seconds=NUMBERS.sweep_idle_s)
    alive = Allocation.objects.filter(node=node).exclude(status__in=states.ALLOCATION_TERMINAL)
    stray: set[str] = set()
    for rows in (Reservation.objects, PortReservation.objects):
        gone = rows.filter(node=node, created_at__lt=old).exclude(allocation_id__in=alive.values("pk"))
        stray |= set(gone.values_list("allocation_id", flat=True))
    if stray:
        ledger.release(stray)
    said = [f"{key} has ended or is gone: what it held is freed" for key in sorted(stray)]
    held = Reservation.objects.filter(node=node).values("allocation_id")
    uncounted = alive.filter(status=Allocation.Status.RUNNING, started_at__lt=old).exclude(pk__in=held)
    for allocation in uncounted:
        _count(node, allocation)
        said.append(f"{allocation.pk} runs without a line in the ledger: it is counted again")
    for text in said:
        node_event(node, "ledger", text)
    return said


def _count(node: Node, allocation: Allocation) -> None:
    granted = Resources.parse(allocation.spec["granted"])
    with transaction.atomic():
        Reservation.objects.get_or_create(
            allocation_id=allocation.pk,
            defaults={
                "node": node,
                "owner_id": allocation.owner_id,
                "deployment_id": allocation.deployment_id,
                "state": Reservation.State.ALLOCATED,
                "cpu_centicores": granted.cpu_centicores,
                "ram_bytes": granted.ram_bytes,
                "disk_bytes": granted.disk_bytes,
                "gpus": [gpu.document() for gpu in granted.gpus],
            },
        )

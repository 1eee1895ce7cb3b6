"""One allocation stopped or started again because somebody asks for it."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from capabilities.refusal import Refusal
from deployments import states
from deployments.models import Allocation, Deployment
from deployments.services.allocations import STOP
from deployments.services.recovery import START
from deployments.services.timeline import announce, record
from node.wake import wake


def allocation_stop_ask(allocation: Allocation, *, actor: str, name: str) -> None:
    """Ask for its end: it frees what it holds, and recovery leaves it alone."""
    _change(allocation, restart=False, actor=actor, name=name)


def allocation_restart_ask(allocation: Allocation, *, actor: str, name: str) -> None:
    """Ask for another attempt: what runs is stopped first, what waits for its pause waits no longer."""
    _change(allocation, restart=True, actor=actor, name=name)


def _change(allocation: Allocation, *, restart: bool, actor: str, name: str) -> None:
    with transaction.atomic():
        deployment = Deployment.objects.select_for_update(no_key=True).get(pk=allocation.deployment_id)
        row = Allocation.objects.get(pk=allocation.pk)
        if deployment.status != states.RUNNING or deployment.stop_wanted:
            raise Refusal(
                "deployment_not_running",
                f"{deployment.name} is {deployment.status}, so none of its allocations is changed by itself",
                status=409,
                hint="wait until it is Running, or shut it down",
            )
        if row.status in states.ALLOCATION_TERMINAL or (row.stop_wanted and not row.restart_why):
            raise Refusal(
                "allocation_not_running",
                f"{row} is {row.status}{': it is being stopped' if row.stop_wanted else ''}",
                status=409,
                hint="it has given back what it held; deploy again to have it back",
            )
        why = f"asked for by {name}"[:120]
        rows = Allocation.objects.filter(pk=row.pk)
        if not restart:
            rows.update(stop_wanted=True, restart_why="")
            wake(STOP, row.pk, queue=f"executor.{row.node_id}")
        elif row.status == Allocation.Status.RUNNING:
            rows.update(stop_wanted=True, restart_why=why)
            wake(STOP, row.pk, queue=f"executor.{row.node_id}")
        else:
            rows.update(restart_at=timezone.now())
            wake(START, row.pk, queue=f"executor.{row.node_id}")
        record(
            deployment,
            "allocation",
            f"{row} is to be {'restarted' if restart else 'stopped'}: {why}",
            allocation=row,
            actor=actor,
        )
        announce(deployment, [row.node_id])

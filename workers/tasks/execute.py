"""Tasks of a node's executor queue: start, stop, clean up, sweep, and watch the disks."""

from __future__ import annotations

from celery import shared_task

from deployments.models import Allocation
from node.selectors import local_node
from workers import reconcile, run
from workers.executors.base import ExecutorError
from workers.executors.registry import executors
from workers.report import record_executors


@shared_task
def start(allocation_id: str) -> None:
    """Start one allocation."""
    run.allocation_start(allocation_id)


@shared_task
def stop(allocation_id: str) -> None:
    """Stop one allocation."""
    run.allocation_stop(allocation_id)


@shared_task
def clean_up(deployment_id: str) -> None:
    """Remove what the deployment's allocations shared on this node."""
    for executor in executors(local_node().identity.did).values():
        try:
            executor.remove_deployment(deployment_id)
        except ExecutorError:
            continue  # the sweep removes it later


@shared_task
def sweep() -> None:
    """Take up what waits, every few seconds."""
    reconcile.take_up(local_node())


@shared_task
def compare() -> None:
    """Compare rows with what runs, every minute."""
    reconcile.compare(local_node())


@shared_task
def disks() -> None:
    """Enforce the disk limits of everything that runs here."""
    running = Allocation.objects.filter(node=local_node(), status=Allocation.Status.RUNNING)
    for allocation in running.select_related("deployment", "owner", "node__identity"):
        run.enforce_disk(allocation)


@shared_task
def look() -> None:
    """Note which executors can be used: an engine may have come or gone."""
    record_executors(local_node())

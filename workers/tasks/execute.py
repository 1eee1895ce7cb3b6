"""Tasks of a node's executor queue: start, stop, clean up, sweep, and watch the disks."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from celery import shared_task

from deployments.models import Allocation
from deployments.services.allocations import with_all
from node.selectors import local_node
from workers import reconcile, run
from workers.executors.base import ExecutorError
from workers.executors.registry import executors
from workers.hands import ENDS, STARTS
from workers.report import record_executors
from workers.terminals import clear_up


def alone(work: Callable[[], None]) -> Callable[[], None]:
    """Let a turn pass while the one before is still at it, so that slow engines do not take every thread."""
    busy = threading.Lock()

    @functools.wraps(work)
    def turn() -> None:
        if busy.acquire(blocking=False):
            try:
                work()
            finally:
                busy.release()

    return turn


def start_soon(allocation_id: str) -> None:
    """Start the allocation in a thread of its own: its image may take long."""
    STARTS.take(allocation_id, functools.partial(run.allocation_start, allocation_id))


def stop_soon(allocation_id: str) -> None:
    """Stop the allocation in a thread of its own: it has a time of grace."""
    ENDS.take(("stop", allocation_id), functools.partial(run.allocation_stop, allocation_id))


@shared_task
def start(allocation_id: str) -> None:
    """Start one allocation."""
    start_soon(allocation_id)


@shared_task
def stop(allocation_id: str) -> None:
    """Stop one allocation."""
    stop_soon(allocation_id)


@shared_task
def clean_up(deployment_id: str) -> None:
    """Remove what the deployment's allocations shared on this node."""
    for executor in executors(local_node().identity.did).values():
        try:
            executor.remove_deployment(deployment_id)
        except ExecutorError:
            continue  # the sweep removes it later


@shared_task
@alone
def sweep() -> None:
    """Take up what waits, every few seconds."""
    node = local_node()
    if any(state.get("lost_at") for state in (node.executors or {}).values()):
        # Looked for more often than what is there: work waits for it.
        record_executors(node)
    reconcile.take_up(node, start=start_soon, stop=stop_soon)


@shared_task
@alone
def compare() -> None:
    """Compare rows with what runs, every minute."""
    reconcile.compare(local_node())


@shared_task
@alone
def disks() -> None:
    """Enforce the disk limits of everything that runs here."""
    running = Allocation.objects.filter(node=local_node(), status=Allocation.Status.RUNNING)
    for allocation in with_all(running):
        with reconcile.guarded("measuring", allocation.pk):
            run.enforce_disk(allocation)


@shared_task
@alone
def look() -> None:
    """Note which executors can be used: an engine may have come or gone."""
    record_executors(local_node())


@shared_task
@alone
def terminals() -> None:
    """End terminals whose process has died."""
    clear_up()

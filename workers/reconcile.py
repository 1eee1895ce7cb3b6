"""Compare rows with what runs on this node and repair both ways.

Rows that say running but whose execution has ended are finished; executions that carry this node's label but
whose row has ended, or never was, are removed; work that a lost message left behind is taken up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from django.utils import timezone

from deployments import states
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance, under_way
from deployments.services.allocations import unfinished_on
from deployments.services.leftovers import leftovers_mend
from deployments.services.overdue import overdue_allocations, overdue_stop
from deployments.services.room import room_made
from node.models import Node
from workers.executors.base import Cause, Execution, Executor, ExecutorError, State
from workers.executors.registry import executors
from workers.run import allocation_start, allocation_stop, collect

logger = logging.getLogger(__name__)


@contextmanager
def guarded(what: str, subject: str) -> Iterator[None]:
    """Log what goes wrong with one subject, so that it never keeps the others waiting."""
    try:
        yield
    except Exception:  # the next sweep tries again
        logger.exception("%s %s", what, subject)


def take_up(
    node: Node,
    *,
    start: Callable[[str], None] = allocation_start,
    stop: Callable[[str], None] = allocation_stop,
) -> None:
    """Advance every deployment that can go on, then do what waits for this node.

    In this order what has passed its deadline, or shall stop, is not started any more.
    """
    with guarded("ending what is overdue on", node.name):
        overdue_stop(node, timezone.now())
    with guarded("ending what has run too long on", node.name):
        _end_overdue(node)
    for deployment_id in under_way(node):
        with guarded("advancing", deployment_id):
            deployment_advance(deployment_id)
    with guarded("making room on", node.name):
        node.refresh_from_db(fields=["draining_at", "drained_at", "drain_reason"])
        room_made(node)
    for allocation_id, stopping in unfinished_on(node.pk):
        with guarded("taking up", allocation_id):
            (stop if stopping else start)(allocation_id)


def _end_overdue(node: Node) -> None:
    """Kill attempts that have run longer than they may; their ends are collected like any other."""
    having = executors(node.identity.did)
    for name, execution_id, why in overdue_allocations(node, timezone.now()):
        if name in having:
            with guarded("ending", execution_id):
                having[name].kill(execution_id, Cause.MAX_RUNTIME, why)


def compare(node: Node) -> None:
    """Compare the node's rows with its executions, its ledger and its ports, both ways."""
    with guarded("mending the ledger of", node.name):
        for text in leftovers_mend(node, timezone.now()):
            logger.warning("%s", text)
    for name, executor in executors(node.identity.did).items():
        try:
            listed = executor.executions(node.identity.did)
            _collect_ended(node, name, listed)
            _remove_orphans(executor, node, listed)
            _remove_shared(executor, node)
        except ExecutorError as error:
            logger.warning("listing what %s runs: %s", name, error.detail)


def _collect_ended(node: Node, name: str, listed: Iterable[Execution]) -> None:
    alive = {execution.execution_id for execution in listed if execution.state != State.EXITED}
    running = Allocation.objects.filter(node=node, executor=name, status=Allocation.Status.RUNNING)
    for execution_id in sorted(set(running.values_list("execution_id", flat=True)) - alive):
        with guarded("collecting", execution_id):
            collect(execution_id)


def _remove_orphans(executor: Executor, node: Node, listed: Iterable[Execution]) -> None:
    unfinished = Allocation.objects.filter(node=node).exclude(status__in=states.ALLOCATION_TERMINAL)
    wanted = set(unfinished.values_list("execution_id", flat=True))
    for execution in listed:
        if execution.execution_id not in wanted:
            logger.info("removing %s: no row wants it", execution.execution_id)
            with guarded("removing", execution.execution_id):
                executor.remove(execution.execution_id)


def _remove_shared(executor: Executor, node: Node) -> None:
    """Remove networks of deployments that have ended: a clean-up that failed or was lost."""
    for deployment_id in executor.deployments(node.identity.did):
        if not Deployment.objects.filter(pk=deployment_id, status__in=states.UNFINISHED).exists():
            executor.remove_deployment(deployment_id)

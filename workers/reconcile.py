"""Compare rows with what runs on this node and repair both ways.

Rows that say running but whose execution has ended are finished; executions that carry this node's label but
whose row has ended, or never was, are removed; work that a lost message left behind is taken up.
"""

from __future__ import annotations

import logging

from deployments import states
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance
from deployments.services.allocations import unfinished_on
from node.models import Node
from workers.executors.base import Executor, ExecutorError
from workers.executors.registry import executors
from workers.run import allocation_start, allocation_stop, collect

logger = logging.getLogger(__name__)


def take_up(node: Node) -> None:
    """Do what waits for this node, and advance every deployment that is under way."""
    for allocation_id in unfinished_on(node.pk):
        if Allocation.objects.filter(pk=allocation_id, stop_wanted=True).exists():
            allocation_stop(allocation_id)
        else:
            allocation_start(allocation_id)
    for deployment_id in Deployment.objects.filter(
        orchestrator=node, status__in=states.UNFINISHED
    ).values_list("pk", flat=True):
        deployment_advance(deployment_id)


def compare(node: Node) -> None:
    """Compare the node's rows with its executions, both ways."""
    running = set(
        Allocation.objects.filter(node=node, status=Allocation.Status.RUNNING).values_list(
            "execution_id", flat=True
        )
    )
    for execution_id in running:
        collect(execution_id)
    for name, executor in executors(node.identity.did).items():
        try:
            _remove_orphans(executor, node)
            _remove_shared(executor, node)
        except ExecutorError as error:
            logger.warning("listing what %s runs: %s", name, error.detail)


def _remove_orphans(executor: Executor, node: Node) -> None:
    for execution in executor.executions(node.identity.did):
        alive = (
            Allocation.objects.filter(execution_id=execution.execution_id)
            .exclude(status__in=states.ALLOCATION_TERMINAL)
            .exists()
        )
        if not alive:
            logger.info("removing %s: no row wants it", execution.execution_id)
            executor.remove(execution.execution_id)


def _remove_shared(executor: Executor, node: Node) -> None:
    """Remove networks of deployments that have ended: a clean-up that failed or was lost."""
    for deployment_id in executor.deployments(node.identity.did):
        if not Deployment.objects.filter(pk=deployment_id, status__in=states.UNFINISHED).exists():
            executor.remove_deployment(deployment_id)

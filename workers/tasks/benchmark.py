"""Measure this machine: on the node's own queue, in a thread that holds nothing else up."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from node.selectors import local_node
from node.services import benchmark
from workers.tasks.execute import alone


@shared_task(name=benchmark.MEASURE)
def measure(pk: int) -> None:
    """Measure, once, what was asked for."""
    benchmark.measure(pk)


@shared_task(name="workers.tasks.benchmark.sweep")
@alone
def sweep() -> None:
    """Take up what a message lost, measure again when the hardware has changed."""
    node = local_node()
    due = benchmark.sweep(node, timezone.now())
    if due is not None:
        benchmark.measure(due.pk)

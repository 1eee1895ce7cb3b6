"""What the rows of this room tell Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from deployments.models import Allocation, AllocationAttempt, Deployment
from node.models import Node

RECENT = timedelta(hours=1)


def of_deployments(node: Node) -> Iterator[Metric]:
    """Yield deployments and allocations by status, the queue, and recent ends by cause."""
    yield _by(
        "dms_deployments", "Deployments by status.", "status", Deployment.objects.filter(orchestrator=node)
    )
    yield _by("dms_allocations", "Allocations by status.", "status", Allocation.objects.filter(node=node))
    running = Allocation.objects.filter(node=node, status=Allocation.Status.RUNNING).exclude(health="")
    yield _by("dms_allocations_health", "Running allocations that are checked, by health.", "health", running)
    queue = GaugeMetricFamily("dms_queue_length", "Deployments that wait for room.")
    queue.add_metric([], Deployment.objects.filter(orchestrator=node, queued_at__isnull=False).count())
    yield queue
    ended = AllocationAttempt.objects.filter(allocation__node=node, ended_at__gt=timezone.now() - RECENT)
    yield _by("dms_attempts_ended_last_hour", "Attempts that ended within an hour, by cause.", "cause", ended)


def _by(name: str, text: str, field: str, rows: object) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=[field])
    for value, count in rows.order_by().values_list(field).annotate(Count("pk")):  # type: ignore[attr-defined]
        metric.add_metric([str(value)], count)
    return metric

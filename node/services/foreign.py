"""What runs on a node's engines that is not the node's own, as rows: as the worker saw it last."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from node.live import changed
from node.models import ForeignContainer, Node

FIELDS = (
    "name",
    "image",
    "state",
    "since",
    "other_node",
    "cpu_limit_centicores",
    "ram_limit_bytes",
    "cpu_percent",
    "ram_used_bytes",
    "seen_at",
)


def foreign_record(node: Node, executor: str, seen: Iterable[ForeignContainer], now: datetime) -> int:
    """Keep what is on the engine now and forget what is not any more; return how many there are."""
    rows = list({row.container_id: row for row in seen}.values())
    for row in rows:
        row.node, row.executor, row.seen_at = node, executor, now
        row.name, row.image, row.state = row.name[:255], row.image[:512], row.state[:32]
    with transaction.atomic():
        ForeignContainer.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["node", "executor", "container_id"],
            update_fields=FIELDS,
        )
        known = ForeignContainer.objects.filter(node=node, executor=executor)
        known.exclude(container_id__in=[row.container_id for row in rows]).delete()
        changed(f"node.{node.pk}")
    return len(rows)

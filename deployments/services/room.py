"""What follows when resources of a node come free: what waits for them is taken up, a drain may be done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from deployments.services import queue
from deployments.services.advance import deployment_advance
from node.models import Node
from node.outside import OUTSIDE
from node.services.drain import drained
from node.wake import wake

ROOM = "workers.tasks.orchestrate.room"


def room_made(node: Node) -> None:
    """Do what has become possible; called by the wake-up and by the sweep."""
    if node.draining_at is not None and node.drained_at is None:
        drained(node, timezone.now())
    if not queue.waiting(node).exists():
        return
    usage = OUTSIDE.probe.usage() if OUTSIDE.probe is not None else None
    for deployment_id in queue.next_ones(node, usage):
        deployment_advance(deployment_id)


def on_freed(sender: Any, node_id: UUID, **_: Any) -> None:
    """Wake a worker when somebody waits for what has come free."""
    draining = Node.objects.filter(pk=node_id, drained_at=None).exclude(draining_at=None)
    if queue.waiting_for(node_id).exists() or draining.exists():
        wake(ROOM, str(node_id), queue="orchestrator")

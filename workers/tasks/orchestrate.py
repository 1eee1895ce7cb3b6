"""Tasks of the orchestrator: advance a deployment, and the sweep that finds what lost messages left behind."""

from __future__ import annotations

from celery import shared_task

from deployments.services.advance import deployment_advance
from deployments.services.room import room_made
from node.models import Node


@shared_task
def advance(deployment_id: str) -> None:
    """Take every step of the deployment that is possible now."""
    deployment_advance(deployment_id)


@shared_task
def room(node_id: str) -> None:
    """Do what has become possible since resources of the node came free."""
    for node in Node.objects.select_related("identity").filter(pk=node_id):
        room_made(node)

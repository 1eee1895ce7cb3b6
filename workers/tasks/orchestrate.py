"""Tasks of the orchestrator: advance a deployment, and the sweep that finds what lost messages left behind."""

from __future__ import annotations

from celery import shared_task

from deployments.services.advance import deployment_advance


@shared_task
def advance(deployment_id: str) -> None:
    """Take every step of the deployment that is possible now."""
    deployment_advance(deployment_id)

"""The timeline of a deployment and the arrows of its state machine."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from deployments import states
from deployments.models import Allocation, Deployment, DeploymentEvent
from node.live import changed
from node.logger.context import bind

logger = logging.getLogger(__name__)


class IllegalArrow(Exception):
    """A transition that the table does not know, or that somebody else made first."""


def record(
    deployment: Deployment,
    kind: str,
    text: str,
    *,
    allocation: Allocation | None = None,
    actor: str = "",
    **data: Any,
) -> None:
    """Write one line of the timeline."""
    DeploymentEvent.objects.create(
        deployment=deployment, allocation=allocation, kind=kind, text=text, actor=actor, data=data
    )


def announce(deployment: Deployment, nodes: Iterable[Any] = ()) -> None:
    """Tell open pages that the deployment changed."""
    groups = [f"deployment.{deployment.pk}", f"identity.{deployment.owner_id}"]
    if deployment.team_id is not None:
        groups.append(f"team.{deployment.team_id}")
    groups += [f"node.{pk}" for pk in {deployment.orchestrator_id, *nodes}]
    changed(*groups)


def move(
    deployment: Deployment,
    target: str,
    text: str,
    *,
    actor: str = "",
    reason: str | None = None,
    reasons: list[dict[str, str]] | None = None,
) -> None:
    """Follow one arrow: a conditional UPDATE from the state that was read, and its event with the reason.

    Raises `IllegalArrow` when the table has no such arrow or the row has moved on meanwhile.
    """
    source = deployment.status
    if not states.legal(source, target):
        raise IllegalArrow(f"{deployment.pk}: no arrow from {source} to {target}")
    now = timezone.now()
    fields: dict[str, Any] = {"status": target, "updated_at": now}
    if target == states.RUNNING and deployment.running_at is None:
        fields["running_at"] = now
    if target in states.TERMINAL:
        fields["completed_at"] = now
    if reason is not None:
        fields["reason"] = reason
    if reasons is not None:
        fields["reasons"] = reasons
    if Deployment.objects.filter(pk=deployment.pk, status=source).update(**fields) != 1:
        raise IllegalArrow(f"{deployment.pk}: no longer {source}")
    for name, value in fields.items():
        setattr(deployment, name, value)
    data: dict[str, Any] = {"from": source, "to": target}
    if reason:
        data["reason"] = reason
    record(deployment, "status", text, actor=actor, **data)
    with bind(deployment=deployment.pk):
        logger.info("%s: %s -> %s: %s", deployment, source, target, reason or text)
    announce(deployment)

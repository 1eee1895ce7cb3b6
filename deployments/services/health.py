"""What is known of the health of allocations, as rows: which are checked, and what the last answers said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from deployments import health
from deployments.models import Allocation, Deployment
from deployments.services.recovery import group_goes_on
from deployments.services.timeline import announce, record

FIELDS = (
    "pk",
    "attempt",
    "deployment_id",
    "owner_id",
    "execution_id",
    "executor",
    "name",
    "dns_name",
    "started_at",
    "health",
    "health_failures",
)


@dataclass(frozen=True, slots=True)
class Checked:
    """An attempt that runs and has a check."""

    allocation_id: str
    attempt: int
    deployment_id: str
    owner_id: int
    execution_id: str
    executor: str
    name: str
    dns_name: str
    started_at: datetime | None
    health: str
    failures: int


def first_health(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the health fields of an attempt that has just been started."""
    state = health.STARTING if spec.get("healthcheck") else health.NONE
    return {"health": state, "health_detail": "", "health_failures": 0, "health_checked_at": None}


def checked_on(node_id: UUID) -> list[Checked]:
    """Return what is to be checked on a node: it runs, has a check, and nobody has asked for its end."""
    rows = Allocation.objects.filter(node_id=node_id, status=Allocation.Status.RUNNING, stop_wanted=False)
    return [Checked(*row) for row in rows.exclude(health=health.NONE).order_by().values_list(*FIELDS)]


def specs_of(allocation_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the health checks of allocations as their rows have them."""
    rows = Allocation.objects.filter(pk__in=list(allocation_ids)).values_list("pk", "spec__healthcheck")
    return {pk: document for pk, document in rows if document}


def health_note(row: Checked, *, state: str, failures: int, detail: str) -> bool:
    """Write the last answer; a change of state is a line of the timeline. False when it is over, or to end."""
    attempt = Allocation.objects.filter(
        pk=row.allocation_id, attempt=row.attempt, status=Allocation.Status.RUNNING, stop_wanted=False
    )
    fields = {"health_failures": failures, "health_detail": detail, "health_checked_at": timezone.now()}
    deployments = Deployment.objects.defer("source", "ensemble", "manifest")
    # Nearly always nothing but the answer is new: one UPDATE, without waiting for the deployment's row.
    if attempt.filter(health=state).update(**fields):
        allocation = Allocation.objects.only("node_id").get(pk=row.allocation_id)
        announce(deployments.get(pk=row.deployment_id), [allocation.node_id])
        return True
    with transaction.atomic():
        deployment = deployments.select_for_update(no_key=True).get(pk=row.deployment_id)
        before = attempt.values_list("health", flat=True).first()
        if before is None:
            return False
        attempt.update(health=state, **fields)
        allocation = Allocation.objects.defer("spec").get(pk=row.allocation_id)
        if state != before:
            _tell(deployment, allocation, before, state, failures, detail)
        if state == health.HEALTHY and before == health.STARTING:
            group_goes_on(row.deployment_id)
        announce(deployment, [allocation.node_id])
    return True


def _tell(
    deployment: Deployment, allocation: Allocation, before: str, state: str, failures: int, detail: str
) -> None:
    text = f"{allocation} is {state}"
    if state == health.HEALTHY and before == health.UNHEALTHY:
        text += " again"
    elif state == health.UNHEALTHY:
        text += f" after {failures} failure{'s' if failures > 1 else ''} in a row"
    record(deployment, "health", f"{text}: {detail}", allocation=allocation, health=state)

"""The door for asking what would be."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from deployments.messages import NewDeploymentRequest
from deployments.plan import plan
from node.message import Message
from node.outside import OUTSIDE
from node.registry import Call, behavior


class PlanResponse(Message):
    """What deploying would do now. Amounts: `cpu_cores`, `ram_bytes`, `disk_bytes`, `gpus`."""

    placeable: bool
    would_queue: bool = Field(description="Does not fit now, but would if nothing else ran: `Queue` helps.")
    ahead: int = Field(description="How many wait in the queue and come first.")
    placements: list[dict[str, Any]] = Field(
        description="subject (ensemble node), peer, allocations, resources, ports."
    )
    reasons: list[dict[str, Any]] = Field(
        description="Every failed check: subject, peer, check, message, path, needed, available, hint."
    )
    allocations: list[dict[str, Any]] = Field(description="What each allocation needs.")
    totals: dict[str, Any] = Field(
        description="needed, and the ledger: onboarded, allocated, committed, free, used_by_others."
    )


@behavior("/dms/node/deployment/plan", request=NewDeploymentRequest, response=PlanResponse)
def deployment_plan(call: Call, request: NewDeploymentRequest) -> PlanResponse:
    """Say what deploying an ensemble would do now: where it would run, or every reason why not. Changes nothing."""
    usage = OUTSIDE.probe.usage() if OUTSIDE.probe is not None else None
    made = plan(owner=call.invoker, node=call.node, ensemble=request.ensemble, usage=usage)
    return PlanResponse(
        placeable=made.placeable,
        would_queue=made.would_queue,
        ahead=made.ahead,
        placements=made.placements,
        reasons=made.reasons,
        allocations=made.allocations,
        totals=made.totals,
    )

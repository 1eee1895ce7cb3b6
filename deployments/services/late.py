"""What a deployment was waiting for when its deadline passed."""

from __future__ import annotations

from deployments import states
from deployments.explain import Line, complete
from deployments.health import ready
from deployments.models import Allocation, Deployment


def waited_for(deployment: Deployment) -> list[Line]:
    """Return one line for each thing that had not happened in time, with how far it had come."""
    allowed = f"running within {(deployment.deadline_at - deployment.created_at).total_seconds():g} s"
    hint = "give it more time (--deadline)"
    if deployment.status != states.PROVISIONING:
        what = "a bid" if deployment.status == states.PREPARING else "the commit"
        known = {"subject": what, "check": "deadline", "message": f"{what} was waited for"}
        return [complete(known | {"needed": allowed, "available": "none yet", "hint": hint})]
    waiting = [
        item
        for item in deployment.allocations.select_related("node").defer("spec").order_by("level", "pk")
        if not ready(item.status, item.health, item.awaited_to_end)
    ]
    return [
        _line(item, allowed, hint)
        if item.status == Allocation.Status.PENDING
        else _unfinished(item, allowed, hint)
        if item.awaited_to_end
        else _unhealthy(item, allowed, hint)
        for item in waiting
    ]


def _unfinished(item: Allocation, allowed: str, hint: str) -> Line:
    return complete(
        {
            "subject": str(item),
            "peer": item.node.name,
            "check": "deadline",
            "message": f"{item} had not completed, and others wait for that (ready_when: completed)",
            "needed": allowed,
            "available": "still running",
            "hint": f"see its log, or {hint}",
        }
    )


def _unhealthy(item: Allocation, allowed: str, hint: str) -> Line:
    state = f"not healthy: {item.health_detail or 'not checked yet'}"
    return complete(
        {
            "subject": str(item),
            "peer": item.node.name,
            "check": "health",
            "message": f"{item} had started and was {state}",
            "needed": allowed,
            "available": state,
            "hint": f"see its log and its healthcheck, or {hint}",
        }
    )


def _line(item: Allocation, allowed: str, hint: str) -> Line:
    state = item.progress or ("starting" if item.start_wanted else "its turn had not come")
    return complete(
        {
            "subject": str(item),
            "peer": item.node.name,
            "check": "deadline",
            "message": f"{item} had not started: {state}",
            "needed": allowed,
            "available": state,
            "hint": f"{hint}, or see what its start waits for: ./dms show {item.deployment_id[:8]}",
        }
    )

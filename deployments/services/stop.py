"""Ask for a deployment to be stopped; whoever advances it next sees to it."""

from __future__ import annotations

from deployments.models import Deployment
from deployments.services.timeline import announce, record
from node.wake import wake

ADVANCE = "workers.tasks.orchestrate.advance"


def stop_ask(deployment: Deployment, text: str, *, actor: str = "") -> int:
    """Ask once, and write who did; a further time only wakes the worker. Return 1 when this was the first."""
    asked = Deployment.objects.filter(pk=deployment.pk, stop_wanted=False).update(stop_wanted=True)
    if asked:
        record(deployment, "shutdown", text, actor=actor)
        announce(deployment)
    wake(ADVANCE, deployment.pk, queue="orchestrator")
    return asked

"""What the page of one deployment shows, read in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone

from deployments import states
from deployments.health import ready
from deployments.models import Allocation, Bid, Deployment
from deployments.services.queue import places
from deployments.story import Line, Step, steps, timeline

ALLOCATIONS_SHOWN = 200
EVENTS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class DeploymentPage:
    """A deployment with everything around it."""

    deployment: Deployment
    allocations: list[Allocation]
    allocations_total: int
    bids: list[Bid]
    round: int
    steps: list[Step]
    timeline: list[Line]
    kinds: list[str]
    kind: str
    events_total: int
    detail: str
    queue: tuple[int, int] | None = None

    @property
    def queue_place(self) -> str:
        """Its place in the queue, as people say it."""
        return f"place {self.queue[0]} of {self.queue[1]}" if self.queue else ""

    @property
    def stoppable(self) -> bool:
        """Whether a shutdown means something."""
        return self.deployment.status not in states.TERMINAL and not self.deployment.stop_wanted

    @property
    def deletable(self) -> bool:
        """Whether it has ended, so that it can be deleted."""
        return self.deployment.status in states.TERMINAL

    @property
    def deletion(self) -> str:
        """What goes with it, and what stays."""
        allocations = f"{self.allocations_total} allocation{'s' if self.allocations_total != 1 else ''}"
        return (
            f"Its {self.events_total} events, {len(self.bids)} bids and the logs and samples of {allocations} go, "
            "and cannot be had back. A line for each allocation that was started stays: who ran what, where and when."
        )

    @property
    def before_running(self) -> bool:
        """Whether stopping it is a cancel."""
        return self.deployment.status in states.BEFORE_RUNNING

    @property
    def consequence(self) -> str:
        """What a shutdown does to what."""
        live = [a for a in self.allocations if a.status in {"pending", "running", "standby"}]
        machines = len({allocation.node_id for allocation in live})
        if not live:
            return "Ends it before anything has been started."
        more = "more than " if self.allocations_total > len(self.allocations) else ""
        return (
            f"Stops {more}{len(live)} allocation{'s' if len(live) != 1 else ''} "
            f"on {machines} machine{'s' if machines != 1 else ''}. Logs are kept."
        )


def deployment_page(deployment: Deployment, kind: str = "") -> DeploymentPage:
    """Read what belongs to `deployment`; of its timeline only the events of `kind` where one is given."""
    allocations = list(deployment.allocations.select_related("node").defer("spec")[:ALLOCATIONS_SHOWN])
    total = len(allocations)
    if total == ALLOCATIONS_SHOWN:
        total = deployment.allocations.count()
    events = list(deployment.events.select_related("allocation").order_by("-at", "-id")[:EVENTS_SHOWN])[::-1]
    events_total = len(events) if len(events) < EVENTS_SHOWN else deployment.events.count()
    asked = deployment.bid_requests.order_by("-round").defer("request").first()
    bids = list(asked.bids.select_related("node").order_by("ensemble_node", "pk")) if asked else []
    running = sum(allocation.status == "running" for allocation in allocations)
    return DeploymentPage(
        deployment=deployment,
        allocations=allocations,
        allocations_total=total,
        bids=bids,
        round=asked.round if asked else 0,
        steps=steps(
            status=deployment.status,
            created=deployment.created_at,
            bids_at=asked.created_at if asked else None,
            ended=deployment.completed_at,
            events=events,
            notes=_notes(bids, allocations, total),
            now=timezone.now(),
        ),
        timeline=timeline(deployment.created_at, [event for event in events if kind in ("", event.kind)]),
        kinds=sorted({event.kind for event in events}),
        kind=kind,
        events_total=events_total,
        detail=f"{running} of {total}" if deployment.status == states.PROVISIONING and total > 1 else "",
        queue=places([deployment]).get(deployment.pk),
    )


def _notes(bids: Iterable[Bid], allocations: list[Allocation], total: int) -> dict[str, str]:
    """Return what stands below the steps beside their durations."""
    verdicts = [bid.verdict for bid in bids]
    notes: dict[str, str] = {}
    if verdicts:
        refused = verdicts.count(Bid.Verdict.REFUSED)
        notes["Bids"] = f"{len(verdicts) - refused} of {len(verdicts)} offered"
    if allocations:
        notes["Committing"] = f"{total} of {total}"
    progress = next((allocation.progress for allocation in allocations if allocation.progress), "")
    if progress and any(allocation.status == "pending" for allocation in allocations):
        notes["Provisioning"] = progress
    elif waits := [
        a for a in allocations if a.status == "running" and not ready(a.status, a.health, a.awaited_to_end)
    ]:
        more = f" and {len(waits) - 1} more" if len(waits) > 1 else ""
        what = "has completed" if waits[0].awaited_to_end else "is healthy"
        notes["Provisioning"] = f"until {waits[0].name}{more} {what}"
    return notes

"""The door to what allocations use: now, and since when it was sampled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from pydantic import Field

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments import states
from deployments.history import current, histories
from deployments.models import Allocation
from deployments.moments import moment
from deployments.selectors import allocation_of, allocations_visible_to, deployment_get
from deployments.usage import refuse_too_many, step_for
from node.message import Message
from node.registry import Call, behavior

HOUR_S = 3_600


class AllocationStatsRequest(Message):
    """Which allocations: of one deployment, one by name, or all of the caller's that run; `From`: with history."""

    ensemble_id: str = Field(
        "", alias="EnsembleID", description="A deployment by id or name; empty: everything that runs."
    )
    allocation_name: str = Field("", alias="AllocationName", description="Only this one; with EnsembleID.")
    from_: str | None = Field(None, alias="From", description="RFC 3339: history from then on.")
    to: str | None = Field(None, alias="To", description="RFC 3339; default now.")
    step: int | None = Field(
        None, alias="Step", ge=1, le=86_400, description="Seconds between points; default: about 360 points."
    )
    limit: int = Field(100, alias="Limit", ge=1, le=1000)
    offset: int = Field(0, alias="Offset", ge=0)


class AllocationStatsResponse(Message):
    """Each allocation with its newest figures (null where they cannot be told) and, if asked for, its `history`."""

    ok: bool = Field(True, alias="OK")
    interval_s: float = Field(alias="IntervalSeconds", description="A new sample comes about that often.")
    allocations: list[dict[str, Any]] = Field(alias="Allocations")
    total: int = Field(alias="Total")
    error: str = Field("", alias="Error")


@behavior("/dms/node/allocation/stats", request=AllocationStatsRequest, response=AllocationStatsResponse)
def allocation_stats(call: Call, request: AllocationStatsRequest) -> AllocationStatsResponse:
    """Say what allocations use of CPU, memory, network, disk and GPUs, now and over time."""
    window = _window(request, call.now)
    rows = _rows(call, request)
    page = list(rows.select_related("deployment", "node")[request.offset : request.offset + request.limit])
    answers = current(page, call.now)
    if window is not None:
        for key, history in histories(page, *window).items():
            answers[key]["history"] = history
    return AllocationStatsResponse(
        interval_s=NUMBERS.allocation_sample_s, allocations=list(answers.values()), total=rows.count()
    )


def _rows(call: Call, request: AllocationStatsRequest) -> QuerySet[Allocation]:
    visible = allocations_visible_to(call.invoker)
    if request.ensemble_id:
        deployment = deployment_get(call.invoker, request.ensemble_id, to=call.path)
        if request.allocation_name:
            return visible.filter(pk=allocation_of(deployment, request.allocation_name).pk)
        return visible.filter(deployment=deployment).order_by("level", "pk")
    if request.allocation_name:
        raise Refusal(
            "invalid_request",
            "AllocationName: an allocation has its name within a deployment",
            hint="give EnsembleID as well",
        )
    running = visible.exclude(status__in=states.ALLOCATION_TERMINAL)
    return running.filter(status=Allocation.Status.RUNNING).order_by("-started_at", "pk")


def _window(request: AllocationStatsRequest, now: datetime) -> tuple[datetime, datetime, int] | None:
    """Return from when, to when and in which steps history is asked for; None when it is not."""
    if request.from_ is None and request.to is None and request.step is None:
        return None
    end = moment("To", request.to) if request.to else now
    start = moment("From", request.from_) if request.from_ else end - timedelta(seconds=HOUR_S)
    window_s = (end - start).total_seconds()
    if window_s <= 0:
        raise Refusal("invalid_request", "From: it is not before To", hint="give an earlier From")
    step = request.step or step_for(window_s)
    refuse_too_many(window_s, step, NUMBERS.stats_points_max)
    return start, end, step

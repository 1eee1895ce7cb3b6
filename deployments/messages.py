"""Requests and responses of the deployment behaviors, under the seed's names. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from deployments.logquery import CONTEXT_MAX, PREVIOUS, SEARCH_MAX, LogQuery
from deployments.spans import point
from node.message import Message

RUNTIME_MAX_S = 100 * 365 * 86_400.0


class NewDeploymentRequest(Message):
    """An ensemble, as YAML text or as the parsed document, and how long it may take to run."""

    ensemble: str | dict[str, Any] = Field(
        alias="Ensemble", description="YAML or JSON text, or the document."
    )
    deadline_s: float | None = Field(
        None, alias="DeadlineSeconds", gt=0, description="Running must be reached within; default 600."
    )
    max_runtime_s: float | None = Field(
        None,
        alias="MaxRuntimeSeconds",
        gt=0,
        le=RUNTIME_MAX_S,
        description="It is ended that long after Running; the ensemble's own max_runtime holds when it is shorter.",
    )
    name: str = Field("", alias="Name", max_length=60, description="What people see; default metadata.name.")
    team: str = Field(
        "", alias="Team", max_length=130, description="ORGANISATION/TEAM whose members see it, too."
    )
    queue: bool = Field(False, alias="Queue", description="Wait, when it does not fit now.")
    queue_s: float | None = Field(
        None, alias="QueueSeconds", gt=0, description="Wait no longer than that; default a day."
    )


class NewDeploymentResponse(Message):
    """`Status` OK and the deployment's id."""

    status: str = Field(alias="Status")
    ensemble_id: str | None = Field(None, alias="EnsembleID")
    error: str | None = Field(None, alias="Error")


class DeploymentListRequest(Message):
    """Filters, order and page of the list; everything is optional."""

    metadata: dict[str, str] = Field(default_factory=dict, alias="Metadata")
    limit: int = Field(100, alias="Limit", ge=1, le=1000)
    offset: int = Field(0, alias="Offset", ge=0)
    status: list[str] = Field(default_factory=list, alias="Status")
    created_after: str | None = Field(None, alias="CreatedAfter", description="RFC 3339.")
    created_before: str | None = Field(None, alias="CreatedBefore", description="RFC 3339.")
    updated_after: str | None = Field(None, alias="UpdatedAfter", description="RFC 3339.")
    updated_before: str | None = Field(None, alias="UpdatedBefore", description="RFC 3339.")
    sort_by: str = Field("-created_at", alias="SortBy", description="A field; `-` before it: descending.")


class DeploymentListResponse(Message):
    """Id to status, in the asked order; `Total` counts all that match."""

    deployments: dict[str, str] = Field(alias="Deployments")
    total: int = Field(0, alias="Total")


class DeploymentRequest(Message):
    """The id of a deployment."""

    id: str = Field(alias="ID")


class QueuePlace(Message):
    """A place in the queue: this one of so many, and what is wanted that is not free."""

    place: int = Field(alias="Place")
    of: int = Field(alias="Of")
    since: str = Field(alias="Since", description="RFC 3339.")
    until: str = Field("", alias="Until", description="It waits no longer than that.")


class DeploymentStatusResponse(Message):
    """The status by name, and why."""

    status: str = Field(alias="Status")
    error: str = Field("", alias="Error")
    queue: QueuePlace | None = Field(None, alias="Queue", description="While it waits in the queue.")


class DeploymentManifestResponse(Message):
    """The manifest: which allocation runs where, at which address, with which ports."""

    manifest: dict[str, Any] = Field(alias="Manifest")
    error: str = Field("", alias="Error")


class DeploymentLogsRequest(Message):
    """An allocation's log: `AllocationName` is `node.allocation`, or the allocation's name where that is enough."""

    ensemble_id: str = Field(alias="EnsembleID")
    allocation_name: str = Field("", alias="AllocationName")
    tail: int | None = Field(None, alias="Tail", ge=0, le=100_000, description="Only the last lines.")
    stream: Literal["both", "stdout", "stderr"] = Field("both", alias="Stream")
    since: str = Field("", alias="Since", description="RFC 3339, a day, or how long ago: 10m, 7d.")
    until: str = Field("", alias="Until", description="As Since.")
    search: str = Field("", alias="Search", max_length=SEARCH_MAX, description="Only lines with this text.")
    ignore_case: bool = Field(False, alias="IgnoreCase")
    context: int = Field(0, alias="Context", ge=0, le=CONTEXT_MAX, description="Lines around each match.")
    timestamps: bool = Field(False, alias="Timestamps", description="The time before each line.")
    attempt: int = Field(0, alias="Attempt", ge=PREVIOUS, description="0 the newest, -1 the one before it.")

    def query(self, stream: str, now: datetime) -> LogQuery:
        """Return what is asked of one stream."""
        return LogQuery(
            stream=stream,
            tail=self.tail,
            since=point("Since", self.since, now) if self.since else None,
            until=point("Until", self.until, now) if self.until else None,
            search=self.search,
            ignore_case=self.ignore_case,
            context=self.context,
            timestamps=self.timestamps,
            attempt=self.attempt,
        )


class DeploymentLogsResponse(Message):
    """The folder that holds stdout.log and stderr.log, and the newest part of what was asked for as text."""

    logs_written_to: str = Field(alias="LogsWrittenTo")
    error: str = Field("", alias="Error")
    stdout: str = Field("", alias="Stdout")
    stderr: str = Field("", alias="Stderr")
    attempts: list[int] = Field(
        default_factory=list, alias="Attempts", description="Those whose logs are kept."
    )


class DeploymentInfoRequest(Message):
    """Which deployment, and what to include."""

    id: str = Field(alias="ID")
    include_logs: bool = Field(False, alias="IncludeLogs")
    allocation_names: list[str] = Field(default_factory=list, alias="AllocationNames")


class DeploymentInfoResponse(Message):
    """Status, manifest, allocations and timeline in one answer."""

    id: str = Field(alias="ID")
    name: str = Field(alias="Name")
    status: str = Field(alias="Status")
    reason: str = Field("", alias="Reason")
    reasons: list[dict[str, Any]] = Field(default_factory=list, alias="Reasons")
    manifest: dict[str, Any] = Field(alias="Manifest")
    allocations: list[dict[str, Any]] = Field(alias="Allocations")
    events: list[dict[str, Any]] = Field(alias="Events")
    logs: dict[str, dict[str, str]] | None = Field(None, alias="Logs")
    queue: QueuePlace | None = Field(None, alias="Queue", description="While it waits in the queue.")
    error: str = Field("", alias="Error")


class DeploymentShutdownResponse(Message):
    """`OK` once the shutdown is asked for; the status tells when it is done."""

    ok: bool = Field(alias="OK")
    error: str = Field("", alias="Error")


class AllocationsListResponse(Message):
    """The allocations that run or wait on this node and that the caller may see."""

    allocations: list[dict[str, Any]] = Field(alias="allocations")
    error: str = Field("", alias="error")

"""The doors of this room: what may be asked of deployments, by anybody, from anywhere."""

from __future__ import annotations

from collections import deque

from django.db import transaction
from django.db.models import TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import Exact

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments import messages, outside, states
from deployments.logquery import LogQuery
from deployments.models import Allocation, Deployment
from deployments.moments import moment
from deployments.selectors import (
    allocation_of,
    allocation_view,
    allocations_visible_to,
    deployment_get,
    visible_to,
)
from deployments.services.queue import places
from deployments.services.stop import stop_ask
from deployments.services.submit import deployment_submit
from deployments.services.teams import own_team
from node.message import Empty
from node.registry import Call, behavior

SORTABLE = ("created_at", "updated_at", "completed_at", "name", "status")
LOG_TEXT_BYTES = 262_144


@behavior(
    "/dms/node/deployment/new",
    request=messages.NewDeploymentRequest,
    response=messages.NewDeploymentResponse,
    changes=True,
    max_ahead_s=NUMBERS.deployment_deadline_max_s,
)
def deployment_new(call: Call, request: messages.NewDeploymentRequest) -> messages.NewDeploymentResponse:
    """Deploy an ensemble: it is checked now, placed and started in the background; `status` tells how it goes."""
    deadline_s = request.deadline_s
    if deadline_s is None and call.expires_at is not None and call.source == "peer":
        # The reference has no deadline field: there the message's expiry is the deadline.
        deadline_s = (call.expires_at - call.now).total_seconds()
    deployment = deployment_submit(
        owner=call.invoker,
        node=call.node,
        ensemble=request.ensemble,
        now=call.now,
        deadline_s=deadline_s,
        name=request.name,
        queue=request.queue,
        queue_s=request.queue_s,
        max_runtime_s=request.max_runtime_s,
        team=own_team(call.invoker, request.team, call.path) if request.team else None,
    )
    return messages.NewDeploymentResponse(status="OK", ensemble_id=deployment.pk)


@behavior(
    "/dms/node/deployment/list",
    request=messages.DeploymentListRequest,
    response=messages.DeploymentListResponse,
)
def deployment_list(call: Call, request: messages.DeploymentListRequest) -> messages.DeploymentListResponse:
    """List deployments with their status, filtered, sorted and paged."""
    field = request.sort_by.removeprefix("-")
    if field not in SORTABLE:
        raise Refusal(
            "invalid_request", f"SortBy: {field!r} is not sortable", hint=f"one of {', '.join(SORTABLE)}"
        )
    unknown = [name for name in request.status if name not in states.ARROWS]
    if unknown:
        raise Refusal(
            "invalid_request",
            f"Status: {unknown[0]!r} is no status",
            hint=f"one of {', '.join(states.ARROWS)}",
        )
    rows = visible_to(call.invoker).order_by(request.sort_by, "pk")
    if request.status:
        rows = rows.filter(status__in=request.status)
    for key, value in request.metadata.items():
        # An expression, because a key from outside must never be read as a lookup.
        rows = rows.filter(Exact(KeyTextTransform(key, "metadata"), Value(value, output_field=TextField())))
    for name, lookup in (
        ("created_after", "created_at__gte"),
        ("created_before", "created_at__lt"),
        ("updated_after", "updated_at__gte"),
        ("updated_before", "updated_at__lt"),
    ):
        text = getattr(request, name)
        if text:
            rows = rows.filter(**{lookup: moment(name, text)})
    page = rows.values_list("pk", "status")[request.offset : request.offset + request.limit]
    return messages.DeploymentListResponse(deployments=dict(page), total=rows.count())


@behavior(
    "/dms/node/deployment/status",
    request=messages.DeploymentRequest,
    response=messages.DeploymentStatusResponse,
)
def deployment_status(call: Call, request: messages.DeploymentRequest) -> messages.DeploymentStatusResponse:
    """Say where a deployment is, and why."""
    deployment = deployment_get(call.invoker, request.id, to=call.path)
    return messages.DeploymentStatusResponse(
        status=deployment.status, error=deployment.reason, queue=_queue(deployment)
    )


def _queue(deployment: Deployment) -> messages.QueuePlace | None:
    found = places([deployment]).get(deployment.pk)
    if found is None or deployment.queued_at is None:
        return None
    return messages.QueuePlace(
        place=found[0],
        of=found[1],
        since=deployment.queued_at.isoformat(),
        until=deployment.queue_until.isoformat() if deployment.queue_until else "",
    )


@behavior(
    "/dms/node/deployment/manifest",
    request=messages.DeploymentRequest,
    response=messages.DeploymentManifestResponse,
)
def deployment_manifest(
    call: Call, request: messages.DeploymentRequest
) -> messages.DeploymentManifestResponse:
    """Return the manifest: which allocation runs where, at which address, with which ports."""
    return messages.DeploymentManifestResponse(
        manifest=deployment_get(call.invoker, request.id, to=call.path).manifest
    )


def _log_text(allocation: Allocation, query: LogQuery) -> str:
    source = outside.OUTSIDE.logs
    if source is None:
        return ""
    # A chunk may be a single line, and there may be millions of them: none is copied more than once.
    held: deque[bytes] = deque()
    size = 0
    for chunk in source.read(allocation.pk, query):
        held.append(chunk)
        size += len(chunk)
        while size - len(held[0]) >= LOG_TEXT_BYTES:
            size -= len(held.popleft())
    return b"".join(held)[-LOG_TEXT_BYTES:].decode("utf-8", "replace")


@behavior(
    "/dms/node/deployment/logs",
    request=messages.DeploymentLogsRequest,
    response=messages.DeploymentLogsResponse,
)
def deployment_logs(call: Call, request: messages.DeploymentLogsRequest) -> messages.DeploymentLogsResponse:
    """Write an allocation's logs to the node's disk and return where, with what was asked for of them as text."""
    deployment = deployment_get(call.invoker, request.ensemble_id, to=call.path)
    allocation = allocation_of(deployment, request.allocation_name)
    source = outside.OUTSIDE.logs
    texts = {
        stream: _log_text(allocation, request.query(stream, call.now))
        for stream in ("stdout", "stderr")
        if request.stream in ("both", stream)
    }
    return messages.DeploymentLogsResponse(
        logs_written_to=source.write(allocation.pk) if source else "",
        stdout=texts.get("stdout", ""),
        stderr=texts.get("stderr", ""),
        attempts=source.attempts(allocation.pk) if source else [],
    )


@behavior(
    "/dms/node/deployment/info",
    request=messages.DeploymentInfoRequest,
    response=messages.DeploymentInfoResponse,
)
def deployment_info(call: Call, request: messages.DeploymentInfoRequest) -> messages.DeploymentInfoResponse:
    """Return status, manifest, allocations and timeline of a deployment in one answer."""
    deployment = deployment_get(call.invoker, request.id, to=call.path)
    allocations = [
        row
        for row in deployment.allocations.all()
        if not request.allocation_names or {str(row), row.name} & set(request.allocation_names)
    ]
    logs = None
    if request.include_logs:
        logs = {
            str(row): {stream: _log_text(row, LogQuery(stream=stream)) for stream in ("stdout", "stderr")}
            for row in allocations
        }
    return messages.DeploymentInfoResponse(
        id=deployment.pk,
        name=deployment.name,
        status=deployment.status,
        reason=deployment.reason,
        reasons=deployment.reasons,
        manifest=deployment.manifest,
        allocations=[allocation_view(row) for row in allocations],
        events=[
            dict(row) | {"at": row["at"].isoformat()}
            for row in deployment.events.values("at", "actor", "kind", "text", "data")
        ],
        logs=logs,
        queue=_queue(deployment),
    )


@behavior(
    "/dms/node/deployment/shutdown",
    request=messages.DeploymentRequest,
    response=messages.DeploymentShutdownResponse,
    changes=True,
)
def deployment_shutdown(
    call: Call, request: messages.DeploymentRequest
) -> messages.DeploymentShutdownResponse:
    """Stop a deployment, in whatever phase it is; its logs and its timeline stay."""
    deployment = deployment_get(call.invoker, request.id, to=call.path)
    if deployment.status in states.TERMINAL:
        raise Refusal(
            "deployment_not_running",
            f"deployment is not running: it is {deployment.status}",
            status=409,
            hint="nothing is left to stop",
        )
    with transaction.atomic():
        stop_ask(deployment, f"shutdown asked for by {call.invoker}", actor=call.invoker.did)
    return messages.DeploymentShutdownResponse(ok=True)


@behavior("/dms/node/allocations/list", request=Empty, response=messages.AllocationsListResponse)
def allocations_list(call: Call, request: Empty) -> messages.AllocationsListResponse:
    """List the allocations that run or wait on this node."""
    rows = (
        allocations_visible_to(call.invoker)
        .filter(node=call.node)
        .exclude(status__in=states.ALLOCATION_TERMINAL)
        .order_by("created_at")
    )
    return messages.AllocationsListResponse(allocations=[allocation_view(row) for row in rows])

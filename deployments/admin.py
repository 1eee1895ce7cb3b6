"""The admin of deployments: for looking, and for shutting down through the door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from capabilities.admin import ReadOnlyAdmin, one_of
from capabilities.paging import under
from capabilities.refusal import Refusal
from deployments.ensemble.model import EXECUTORS
from deployments.models import (
    DOCUMENTS,
    EVENT_KINDS,
    Allocation,
    AllocationAttempt,
    AllocationSample,
    AllocationTombstone,
    Bid,
    BidRequest,
    Deployment,
    DeploymentEvent,
    ExecSession,
    Quota,
)
from node.admin import ReservationAdmin, state_mark
from node.models import DOCUMENTS as NODE_DOCUMENTS
from node.models import Reservation
from node.person import invoke

SHUTDOWN = "/dms/node/deployment/shutdown"
DELETE = "/dms/node/deployment/delete"
RESTART = "/dms/node/allocation/restart"
STOP = "/dms/node/allocation/stop"


def shut_down(request: HttpRequest, keys: Iterable[str]) -> None:
    """Invoke the shutdown of each deployment as the person at the admin, and say how each went."""
    each(request, SHUTDOWN, keys, "is being shut down")


def each(request: HttpRequest, behavior: str, keys: Iterable[str], done: str) -> None:
    """Invoke a behavior with each deployment's id, and say how each went."""
    for key in list(keys):
        _invoke(request, behavior, {"ID": key}, key[:8], done)


def control(request: HttpRequest, behavior: str, rows: QuerySet[Allocation], done: str) -> None:
    """Invoke a behavior with each allocation, and say how each went."""
    for row in rows:
        asked = {"ID": row.deployment_id, "AllocationName": str(row)}
        _invoke(request, behavior, asked, f"allocation {row} of {row.deployment_id[:8]}", done)


def _invoke(request: HttpRequest, behavior: str, asked: dict[str, str], what: str, done: str) -> None:
    try:
        invoke(request, behavior, asked, source="admin")
        messages.success(request, f"{what} {done}")
    except Refusal as refusal:
        messages.error(request, f"{what}: {refusal.detail} {refusal.hint}".strip())


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    """Deployments; `Shut down` invokes the behavior."""

    list_display = ["name", "short", "status_shown", "owner", "orchestrator", "created_at", "reason"]
    list_filter = ["status", "only_tasks"]
    list_select_related = ["owner", "orchestrator"]
    list_left_out = (*DOCUMENTS, *under("orchestrator", NODE_DOCUMENTS))
    search_fields = ["name", "id", "owner__name"]
    actions = ["shut_down", "delete_ended"]

    @admin.display(description="id")
    def short(self, row: Deployment) -> str:
        """The beginning of the id."""
        return row.pk[:8]

    @admin.display(description="status", ordering="status")
    def status_shown(self, row: Deployment) -> SafeString:
        """The status in its colour."""
        return state_mark(row.status)

    @admin.action(description="Shut down")
    def shut_down(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Stop the allocations of the chosen deployments."""
        shut_down(request, rows.values_list("pk", flat=True))

    @admin.action(description="Delete what has ended, with logs and timeline")
    def delete_ended(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Delete the chosen deployments; a tombstone of each allocation stays."""
        each(request, DELETE, rows.values_list("pk", flat=True), "is deleted")


@admin.register(AllocationTombstone)
class AllocationTombstoneAdmin(ReadOnlyAdmin):
    """What is left of deleted allocations."""

    list_display = ["name", "deployment_name", "owner_did", "status", "started_at", "ended_at", "deleted_at"]
    list_filter = ["executor", "status"]
    search_fields = ["allocation_id", "deployment_name", "owner_did", "image"]


@admin.register(Allocation)
class AllocationAdmin(ReadOnlyAdmin):
    """Allocations."""

    list_display = [
        "name",
        "deployment",
        "status_shown",
        "health",
        "node",
        "executor",
        "reason",
        "started_at",
        "ended_at",
    ]
    list_filter = ["status", one_of("executor", EXECUTORS), one_of("type", ("task", "service"))]
    list_select_related = ["deployment", "node"]
    list_left_out = ("spec", *under("deployment", DOCUMENTS), *under("node", NODE_DOCUMENTS))
    ordering = ["-created_at", "id"]
    search_fields = ["id", "name"]
    actions = ["restart", "stop"]

    @admin.display(description="status", ordering="status")
    def status_shown(self, row: Allocation) -> SafeString:
        """The status in its colour."""
        return state_mark(row.status)

    @admin.action(description="Restart")
    def restart(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Start the chosen allocations again."""
        control(request, RESTART, rows, "is restarted")

    @admin.action(description="Stop for good")
    def stop(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Stop the chosen allocations; the others of their deployments go on."""
        control(request, STOP, rows, "is being stopped")


@admin.register(AllocationSample)
class AllocationSampleAdmin(ReadOnlyAdmin):
    """What allocations used."""

    list_display = ["allocation_id", "at", "cpu_percent", "ram_used_bytes", "ram_limit_bytes", "pids"]
    search_fields = ["allocation__id"]
    show_full_result_count = False


@admin.register(BidRequest)
class BidRequestAdmin(ReadOnlyAdmin):
    """Rounds of asking."""

    list_display = ["deployment", "round", "created_at"]
    list_select_related = ["deployment"]


@admin.register(Bid)
class BidAdmin(ReadOnlyAdmin):
    """Answers of nodes."""

    list_display = ["node", "ensemble_node", "verdict_shown", "request", "created_at"]
    list_filter = ["verdict"]
    list_select_related = ["node", "request__deployment"]

    @admin.display(description="verdict", ordering="verdict")
    def verdict_shown(self, row: Bid) -> SafeString:
        """The verdict in its colour."""
        return state_mark(row.verdict)


@admin.register(DeploymentEvent)
class DeploymentEventAdmin(ReadOnlyAdmin):
    """Timelines of deployments."""

    list_display = ["at", "deployment", "kind", "text", "actor"]
    list_filter = [one_of("kind", EVENT_KINDS)]
    ordering = ["-at", "-id"]
    list_select_related = ["deployment"]
    list_left_out = under("deployment", DOCUMENTS)
    search_fields = ["text"]


@admin.register(ExecSession)
class ExecSessionAdmin(ReadOnlyAdmin):
    """Commands that people ran inside allocations."""

    list_display = ["created_at", "allocation", "owner", "command", "exit_code", "reason", "ended_at"]
    list_select_related = ["allocation", "owner"]
    search_fields = ["allocation__id", "owner__name"]


@admin.register(Quota)
class QuotaAdmin(ReadOnlyAdmin):
    """Limits; changed on the page of quotas or by `./dms user quota`."""

    list_display = [
        "__str__",
        "deployments",
        "cpu_centicores",
        "ram_bytes",
        "disk_bytes",
        "gpus",
        "running_time_s",
    ]
    list_select_related = ["identity"]


class HeldReservationAdmin(ReservationAdmin):
    """The ledger's lines; what holds one is a deployment, so that is what is shut down to release it."""

    actions = ["release"]

    @admin.action(description="Release: shut down the deployments that hold these")
    def release(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Shut down each deployment once."""
        shut_down(request, rows.order_by().values_list("deployment_id", flat=True).distinct())


admin.site.unregister(Reservation)
admin.site.register(Reservation, HeldReservationAdmin)


@admin.register(AllocationAttempt)
class AllocationAttemptAdmin(ReadOnlyAdmin):
    """Every run of every allocation, with why it was started and how it ended."""

    list_display = ["allocation", "number", "why", "started_at", "ended_at", "cause", "exit_code"]
    list_filter = ["cause"]
    search_fields = ["allocation__id", "execution_id"]

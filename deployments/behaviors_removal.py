"""The doors that delete what has ended: one deployment, or all that ended before a time."""

from __future__ import annotations

from pydantic import Field

from capabilities.refusal import Refusal
from deployments import states
from deployments.selectors import deployment_get, visible_to
from deployments.services.removal import deployments_delete
from deployments.spans import point
from node.message import Message
from node.registry import Call, behavior

SHOWN = 1_000


class DeleteRequest(Message):
    """The deployment, by id or name."""

    id: str = Field(alias="ID")


class DeleteResponse(Message):
    """`OK` once nobody sees it any more; its rows and files go in the background."""

    ok: bool = Field(alias="OK")
    id: str = Field(alias="ID")
    error: str = Field("", alias="Error")


class PruneRequest(Message):
    """Which of the ended deployments: those that ended before a time, or all of them."""

    before: str = Field("", alias="Before", description="How long ago (7d, 36h), a day, or RFC 3339.")
    all: bool = Field(False, alias="All", description="Whenever they ended.")
    all_owners: bool = Field(
        False, alias="AllOwners", description="Everybody's, not just the caller's own; for roots of the node."
    )
    dry_run: bool = Field(False, alias="DryRun", description="Only say which.")


class PruneResponse(Message):
    """Ids of what was deleted (with DryRun: would be), at most 1000 of them, and how many in all."""

    ok: bool = Field(True, alias="OK")
    deployments: list[str] = Field(alias="Deployments")
    total: int = Field(alias="Total")
    error: str = Field("", alias="Error")


@behavior("/dms/node/deployment/delete", request=DeleteRequest, response=DeleteResponse, changes=True)
def deployment_delete(call: Call, request: DeleteRequest) -> DeleteResponse:
    """Delete a deployment that has ended, with its logs and timeline; a tombstone of each allocation stays."""
    deployment = deployment_get(call.invoker, request.id, to=call.path)
    if not deployments_delete([deployment.pk], actor=call.invoker.did):
        deployment.refresh_from_db(fields=["status"])
        raise Refusal(
            "deployment_not_ended",
            f"{deployment.name} is {deployment.status}: only what is Completed or Failed can be deleted",
            status=409,
            hint=f"./dms shutdown {deployment.pk[:8]} ends it",
        )
    return DeleteResponse(ok=True, id=deployment.pk)


@behavior("/dms/node/deployment/prune", request=PruneRequest, response=PruneResponse, changes=True)
def deployment_prune(call: Call, request: PruneRequest) -> PruneResponse:
    """Delete the deployments that ended before a time, or all that have ended; a tombstone of each allocation stays."""
    if bool(request.before) == request.all:
        raise Refusal(
            "invalid_request",
            "say which: Before, or All" if not request.all else "Before and All exclude each other",
            hint="Before 7d deletes what ended more than seven days ago",
        )
    if request.all_owners and not call.is_root:
        raise Refusal(
            "not_authorized",
            "AllOwners: only a root of the node deletes what belongs to others",
            status=403,
            hint="leave it out to delete your own",
        )
    rows = visible_to(call.invoker).filter(status__in=states.TERMINAL)
    if not request.all_owners:
        rows = rows.filter(owner=call.invoker)
    if request.before:
        rows = rows.filter(completed_at__lt=point("Before", request.before, call.now))
    keys = list(rows.order_by("completed_at", "pk").values_list("pk", flat=True))
    total = len(keys) if request.dry_run else deployments_delete(keys, actor=call.invoker.did)
    return PruneResponse(deployments=keys[:SHOWN], total=total)

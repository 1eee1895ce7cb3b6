"""Reads of the deployments room. `visible_to` is the only way rows reach a person."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from capabilities.models import Identity
from capabilities.paging import under
from capabilities.refusal import Refusal, not_found
from capabilities.services import bound_to, sees_all
from capabilities.teams import team_ids, team_lacks
from deployments import states
from deployments.models import (
    DOCUMENTS,
    Allocation,
    AllocationTombstone,
    Deployment,
    DeploymentEvent,
    ExecSession,
)

# Beyond it nothing can begin with a key, and a pattern of 50 kB is more than SQLite takes.
ID_LENGTH = 64
SHOWN = 5
LATEST = 25


def visible_to(identity: Identity) -> QuerySet[Deployment]:
    """Return the deployments this identity may see: its own and its teams', or all for whoever sees everybody's."""
    rows = Deployment.objects.filter(delete_wanted=False)
    if only := bound_to(identity):
        rows = rows.filter(pk=only)
    return rows if sees_all(identity) else rows.filter(_of(identity, "owner", "team"))


def _of(identity: Identity, owner: str, team: str) -> Q:
    """Return the filter of what is the identity's own or one of her teams'; without a team it is one column's."""
    own = Q(**{owner: identity})
    teams = team_ids(identity)
    return own | Q(**{f"{team}__in": teams}) if teams else own


def allocations_visible_to(identity: Identity) -> QuerySet[Allocation]:
    """Return the allocations this identity may see: its own, or all for whoever sees everybody's."""
    # Leaving out the few that are being deleted spares a look at the deployment of every row.
    rows = Allocation.objects.exclude(deployment__in=_deleted())
    if only := bound_to(identity):
        rows = rows.filter(deployment_id=only)
    return rows if sees_all(identity) else rows.filter(_of(identity, "owner", "deployment__team"))


def events_visible_to(identity: Identity) -> QuerySet[DeploymentEvent]:
    """Return the lines of timelines this identity may see: those of its own deployments, or all."""
    if sees_all(identity) and not bound_to(identity):
        return DeploymentEvent.objects.exclude(deployment__in=_deleted())
    return DeploymentEvent.objects.filter(deployment__in=visible_to(identity).values("pk"))


def latest_events(identity: Identity, count: int) -> list[DeploymentEvent]:
    """Return what happened last to the deployments this identity may see, without progress, newest first.

    A root sees everybody's, which an index gives in order. For others that index may have to pass over any number
    of lines of other people; only their latest deployments are looked at, unfinished or not.
    """
    rows = events_visible_to(identity)
    if not sees_all(identity) or bound_to(identity):
        mine = visible_to(identity)
        latest = mine.order_by("-updated_at").values_list("pk", flat=True)
        keys = {*latest[:LATEST], *latest.filter(status__in=states.UNFINISHED)[:LATEST]}
        rows = DeploymentEvent.objects.filter(deployment_id__in=keys)
    rows = rows.exclude(kind="progress").select_related("deployment")
    return list(rows.defer(*under("deployment", DOCUMENTS)).order_by("-at", "-id")[:count])


def _deleted() -> QuerySet[Deployment, str]:
    return Deployment.objects.filter(delete_wanted=True).values_list("pk", flat=True)


def tombstones_visible_to(identity: Identity) -> QuerySet[AllocationTombstone]:
    """Return what is left of deleted allocations: the identity's own, or all for whoever sees everybody's."""
    rows = AllocationTombstone.objects.all()
    if only := bound_to(identity):
        rows = rows.filter(deployment_id=only)
    return rows if sees_all(identity) else rows.filter(owner_did=identity.did)


def exec_sessions_visible_to(identity: Identity) -> QuerySet[ExecSession]:
    """Return the exec sessions this identity may see: its own and those in its allocations, or all."""
    rows = ExecSession.objects.select_related("owner", "allocation")
    if only := bound_to(identity):
        rows = rows.filter(allocation__deployment_id=only)
    return (
        rows
        if sees_all(identity)
        else rows.filter(
            Q(owner=identity) | _of(identity, "allocation__owner", "allocation__deployment__team")
        )
    )


def deployment_get(identity: Identity, key: str, to: str = "") -> Deployment:
    """Return a deployment by id, by a prefix of it (8 or more characters), or by name: the one of that name that
    has not ended, else the newest.

    Refusal `not_found` for what does not exist and for what the identity may not see: the two look the same;
    `ambiguous`, with the ids, for a name that several have which have not ended. With `to`, the path of a behavior,
    Refusal `not_authorized` when it is a team's and her role there does not hold it.
    """
    rows = visible_to(identity)
    found = rows.filter(pk=key).first()
    if found is None and 8 <= len(key) < ID_LENGTH:
        matches = list(rows.filter(pk__startswith=key)[:2])
        found = matches[0] if len(matches) == 1 else None
    if found is None:
        named = rows.filter(name=key).order_by("-created_at")
        live = list(named.filter(status__in=states.UNFINISHED)[: SHOWN + 1])
        if len(live) > 1:
            raise _ambiguous(key, live)
        found = live[0] if live else named.first()
    if found is None:
        refusal = not_found("deployment", key)
        refusal.hint = (
            "give its name, its id, or the id's first 8 characters; ./dms get deployments lists them"
        )
        raise refusal
    if to:
        demand_on(identity, found, to)
    return found


def lacks_on(identity: Identity, deployment: Deployment, path: str) -> str:
    """Return why `identity` may not do `path` with a deployment that she sees, empty when she may."""
    if deployment.team_id is None or deployment.owner_id == identity.pk or sees_all(identity):
        return ""
    return team_lacks(identity, deployment.team_id, path)


def demand_on(identity: Identity, deployment: Deployment, path: str) -> None:
    """Refuse what her role in the deployment's team does not hold; the refusal names the capability."""
    why = lacks_on(identity, deployment, path)
    if why:
        raise Refusal(
            "not_authorized",
            f"{identity} may not invoke {path} on {deployment.name}: {why}",
            status=403,
            hint=f"ask an admin of the organisation for a role in the team that holds {path}",
            capability=path,
        )


def _ambiguous(name: str, matches: list[Deployment]) -> Refusal:
    ids = ", ".join(f"{row.pk[:8]} ({row.status})" for row in matches[:SHOWN])
    count = f"{len(matches)}" if len(matches) <= SHOWN else f"more than {SHOWN}"
    return Refusal(
        "ambiguous",
        f"{count} deployments called {name} have not ended",
        status=409,
        hint=f"say which by the id; the newest first: {ids}",
    )


def allocation_of(deployment: Deployment, name: str) -> Allocation:
    """Return an allocation by `node.allocation` or by its name; the only one when `name` is empty."""
    rows = list(deployment.allocations.all())
    for row in rows:
        if name in {str(row), row.name, row.pk} or (not name and len(rows) == 1):
            return row
    refusal = not_found("allocation", name or "(none given)")
    refusal.hint = "one of: " + (", ".join(map(str, rows)) or "none, it was not placed")
    raise refusal


def allocation_view(allocation: Allocation) -> dict[str, Any]:
    """Return what callers see of an allocation."""
    return {
        "id": allocation.pk,
        "name": str(allocation),
        "deployment_id": allocation.deployment_id,
        "node": allocation.node_id and str(allocation.node_id),
        "type": allocation.type,
        "executor": allocation.executor,
        "status": allocation.status,
        "reason": allocation.reason,
        "detail": allocation.detail,
        "progress": allocation.progress,
        "exit_code": allocation.exit_code,
        "health": allocation.health,
        "health_detail": allocation.health_detail,
        "health_failures": allocation.health_failures,
        "health_checked_at": allocation.health_checked_at and allocation.health_checked_at.isoformat(),
        "attempt": allocation.attempt,
        "restart_why": allocation.restart_why,
        "restart_at": allocation.restart_at and allocation.restart_at.isoformat(),
        "execution_id": allocation.execution_id,
        "dns_name": allocation.dns_name,
        "priv_addr": allocation.priv_addr,
        "ports": allocation.ports,
        "started_at": allocation.started_at and allocation.started_at.isoformat(),
        "ended_at": allocation.ended_at and allocation.ended_at.isoformat(),
    }

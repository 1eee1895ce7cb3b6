"""The containers of a node, read from rows: its own as the caller may see them, and other people's."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from capabilities.refusal import Refusal, not_found
from deployments import states
from deployments.messages_containers import ContainerItem
from deployments.models import Allocation
from deployments.outside import OUTSIDE
from deployments.selectors import allocations_visible_to
from node.models import ForeignContainer
from node.registry import Call
from node.resources import Resources
from node.visible import foreign_visible_to

ID_MIN = 12  # the engine's short ids
SHOWN = 5


def own_rows(call: Call, executor: str = "") -> QuerySet[Allocation]:
    """Return the allocations that have a container on the node now, newest first."""
    rows = allocations_visible_to(call.invoker).filter(node=call.node)
    rows = rows.exclude(status__in=states.ALLOCATION_TERMINAL).exclude(execution_id="")
    if executor:
        rows = rows.filter(executor=executor)
    return rows.select_related("deployment", "owner", "node__identity").order_by("-created_at", "pk")


def foreign_rows(call: Call, executor: str = "") -> QuerySet[ForeignContainer]:
    """Return the containers that are not the node's own, as far as the caller may see them."""
    rows = foreign_visible_to(call.invoker).filter(node=call.node).order_by("name", "pk")
    return rows.filter(executor=executor) if executor else rows


def own_item(row: Allocation) -> ContainerItem:
    """Return one of the node's own as callers see it."""
    granted = Resources.parse(row.spec.get("granted") or {})
    params = (row.spec.get("execution") or {}).get("params") or {}
    return ContainerItem(
        execution_id=row.execution_id,
        container_name=container_name(row),
        name=str(row),
        running=row.status == Allocation.Status.RUNNING,
        state=row.status,
        execution_type=row.executor,
        image=str(params.get("image") or ""),
        ensemble_id=row.deployment_id,
        deployment=row.deployment.name,
        allocation_id=row.pk,
        owner=row.owner.did,
        ports=row.ports,
        since=row.started_at.isoformat() if row.started_at else None,
        cpu_limit=granted.cpu_centicores / 100,
        ram_limit_bytes=granted.ram_bytes,
    )


def foreign_item(row: ForeignContainer) -> ContainerItem:
    """Return somebody else's as callers see it: to be looked at only."""
    return ContainerItem(
        execution_id=row.container_id,
        container_name=row.name,
        name=row.name,
        running=row.state == "running",
        state=row.state,
        execution_type=row.executor,
        image=row.image,
        since=row.since.isoformat() if row.since else None,
        cpu_limit=None if row.cpu_limit_centicores is None else row.cpu_limit_centicores / 100,
        ram_limit_bytes=row.ram_limit_bytes,
        ram_used_bytes=row.ram_used_bytes,
        read_only=True,
    )


def container_name(row: Allocation) -> str:
    """Return what the executor's engine calls the allocation's container; its execution id where there is no engine."""
    name = OUTSIDE.container_name
    return name(row.executor, row.node.identity.did, row.execution_id) if name else row.execution_id


def find(call: Call, key: str, executor: str = "") -> Allocation:
    """Return the node's own container of this id or name; Refusal says what it is instead, or that there is none."""
    rows = own_rows(call, executor)
    named = Q(pk=key) | Q(execution_id=key) | Q(name=key) | Q(deployment__name=key)
    if "." in key:
        node, _, name = key.partition(".")
        named |= Q(ensemble_node=node, name=name)
    found = list(rows.filter(named)[: SHOWN + 1]) or [row for row in rows if container_name(row) == key]
    if len(found) > 1:
        ids = ", ".join(row.execution_id for row in found[:SHOWN])
        raise Refusal(
            "ambiguous",
            f"more than one container is called {key}",
            status=409,
            hint=f"say which by its execution id: {ids}{', ...' if len(found) > SHOWN else ''}",
        )
    if found:
        return found[0]
    _refuse_foreign(call, key)
    _refuse_ended(call, key)
    refusal = not_found("container", key)
    refusal.hint = "./dms actor cmd /dms/node/container/list shows what runs here"
    raise refusal


def _refuse_foreign(call: Call, key: str) -> None:
    by_id = Q(container_id__startswith=key) if len(key) >= ID_MIN else Q(pk=None)
    row = foreign_rows(call).filter(Q(name=key) | by_id).first()
    if row is not None:
        raise Refusal(
            "foreign_container",
            f"{row.name} is not this node's container: it can be looked at, not stopped",
            status=409,
            hint=f"whoever started it can stop it, on the machine itself: {row.executor} stop {row.name}",
        )


def _refuse_ended(call: Call, key: str) -> None:
    ended = allocations_visible_to(call.invoker).filter(node=call.node, status__in=states.ALLOCATION_TERMINAL)
    row = ended.filter(Q(pk=key) | Q(execution_id=key)).first()
    if row is not None:
        raise Refusal(
            "container_not_running",
            f"{row} does not run: it is {row.status}",
            status=409,
            hint="nothing is left to stop",
        )

"""Deployments by the thousand, with allocations and a timeline each, written straight into the database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capabilities.models import Identity
    from deployments.models import Allocation, Deployment
    from node.models import Node

ALLOCATIONS = 5
EVENTS = 50
BATCH = 5_000
# What a busy site has: most have ended, some wait, some run. The first ten have one of each for each of two owners.
SOME = ("Preparing", "Failed", "Running", "Provisioning", "Completed")
STATUSES = (*(status for status in SOME for _ in "ab"), *("Completed",) * 20)
OF_ALLOCATION = {
    "Completed": "completed",
    "Failed": "failed",
    "Running": "running",
    "Provisioning": "pending",
}
EVERY_S = 60
EVENT_COLUMNS = ("deployment_id", "at", "actor", "kind", "text", "data")


def tree(number: int) -> dict[str, Any]:
    """Return the ensemble of five allocations, as an author writes it."""
    allocation = {
        "type": "service",
        "executor": "docker",
        "resources": {"cpu": {"cores": 0.5}, "ram": {"size": "256MiB"}, "disk": {"size": "1GiB"}},
        "execution": {"type": "docker", "image": "nginx:1.27", "cmd": ["nginx", "-g", "daemon off;"]},
    }
    names = [f"part{part}" for part in range(ALLOCATIONS)]
    return {
        "metadata": {"name": f"crowd-{number}"},
        "allocations": dict.fromkeys(names, allocation),
        "nodes": {"here": {"allocations": names}},
    }


def add(begin: int, end: int, *, node: Node, owners: list[Identity], now: datetime) -> None:
    """Write the deployments number `begin` to `end`, each newer than the one before."""
    import json

    from deployments.ensemble import parse
    from deployments.models import Allocation, Deployment
    from deployments.services.bidding import demand_of

    config = parse(json.dumps(tree(0))).required()
    same = {
        "ensemble": config.document(),
        "source": json.dumps(tree(0), indent=2),
        "demand": demand_of(config).document(),
    }
    rows = [_deployment(number, node, owners, now, same) for number in range(begin, end)]
    _bulk(Deployment, iter(rows))
    _bulk(Allocation, (made for row in rows for made in _allocations(row, node)))
    _events(rows)


def _bulk(model: Any, rows: Iterator[Any]) -> None:
    while batch := list(islice(rows, BATCH)):
        model.objects.bulk_create(batch)


def _deployment(
    number: int, node: Node, owners: list[Identity], now: datetime, same: dict[str, Any]
) -> Deployment:
    from deployments.models import Deployment

    status = STATUSES[number % len(STATUSES)]
    at = now + timedelta(seconds=EVERY_S * number)
    return Deployment(
        id=hashlib.sha256(f"crowd {number}".encode()).hexdigest(),
        owner=owners[number % len(owners)],
        orchestrator=node,
        name=f"crowd-{number}",
        manifest={"allocations": same["ensemble"]},
        metadata={"name": f"crowd-{number}"},
        status=status,
        reason="no node can take it: 64 cores wanted, 2 cores free" if status == "Failed" else "",
        queue_wanted=status == "Preparing",
        queued_at=at if status == "Preparing" else None,
        deadline_at=at + timedelta(minutes=5),
        created_at=at,
        updated_at=at,
        **same,
    )


def _allocations(row: Deployment, node: Node) -> Iterator[Allocation]:
    from deployments.models import Allocation

    if row.status == "Preparing":
        return
    for part, (name, spec) in enumerate(row.ensemble["V1"]["allocations"].items()):
        yield Allocation(
            id=f"{row.pk}_here.{name}",
            deployment=row,
            owner_id=row.owner_id,
            node=node,
            ensemble_node="here",
            name=name,
            type="service",
            executor="docker",
            spec=spec,
            level=part,
            dns_name=name,
            status=OF_ALLOCATION[row.status],
            attempt=1,
            created_at=row.created_at,
        )


def _events(rows: list[Deployment]) -> None:
    """Write the timelines. Half a million rows take the ORM a minute and a half, its connection alone a few seconds."""
    from django.db import connection, transaction

    from deployments.models import DeploymentEvent

    columns = ", ".join(map(connection.ops.quote_name, EVENT_COLUMNS))
    marks = ", ".join(["%s"] * len(EVENT_COLUMNS))
    table = connection.ops.quote_name(DeploymentEvent._meta.db_table)
    at = connection.ops.adapt_datetimefield_value
    lines = (
        (
            row.pk,
            at(row.created_at + timedelta(seconds=number)),
            "",
            "status" if number % 10 == 0 else "progress" if number % 3 == 0 else "allocation",
            f"here.part{number % ALLOCATIONS}: step {number} is done",
            f'{{"number": {number}}}',
        )
        for row in rows
        for number in range(EVENTS)
    )
    with transaction.atomic(), connection.cursor() as cursor:
        while batch := list(islice(lines, BATCH)):
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", batch)

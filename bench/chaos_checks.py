"""What must be so after a run of chaos: each check gives sentences, none when all is well."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import docker

from bench.chaos_plan import Plan
from bench.chaos_world import World
from bench.site import ROOT

# Read in a process of its own: the site's database is never opened by hand in one that lives on.
ROWS = """
import json
from django.db.models import Count
from deployments import states
from deployments.models import Allocation, AllocationAttempt, Deployment
from node.models import PortReservation, Reservation
attempts = {}
for row in AllocationAttempt.objects.order_by("allocation_id", "number").values_list(
    "allocation_id", "number", "asked_at", "ended_at", "cause", "why"
):
    attempts.setdefault(row[0], []).append([str(value) if value else value for value in row[1:]])
print(json.dumps({
    "unfinished": list(Deployment.objects.exclude(status__in=states.TERMINAL).values_list("name", "status")),
    "allocations": list(Allocation.objects.exclude(status__in=states.ALLOCATION_TERMINAL).values_list("pk", "status")),
    "leases": list(Allocation.objects.filter(lease_until__isnull=False).values_list("pk", flat=True)),
    "reservations": list(Reservation.objects.values_list("allocation_id", flat=True)),
    "ports": list(PortReservation.objects.values_list("allocation_id", flat=True)),
    "attempts": attempts,
}))
"""


def rows(world: World) -> dict[str, Any]:
    """Return what the database says."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", ROWS],
        cwd=ROOT,
        env=world.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return document


def standing(
    plan: Plan, acknowledged: Mapping[str, str], deployments: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Say which deployments are not (or not yet) as they must be; everything acknowledged must be there."""
    right = {one.name: one.right for one in plan.submissions()}
    found = list(deployments)
    keys = {str(one["id"]) for one in found}
    faults = [f"{name} was acknowledged and is lost" for name, key in acknowledged.items() if key not in keys]
    faults += [f"{name} was never acknowledged" for name in right if name not in acknowledged]
    for one in found:
        if one["status"] not in right.get(one["name"], frozenset()):
            faults.append(f"{one['name']} is {one['status']}: {one['reason']}")
    return faults


def attempts(found: Mapping[str, list[list[Any]]]) -> list[str]:
    """Say where attempts of one allocation overlap, miss a number, or are open after the end."""
    faults = []
    for allocation, entries in found.items():
        if [entry[0] for entry in entries] != list(map(str, range(1, len(entries) + 1))):
            faults.append(f"{allocation}: numbers {[entry[0] for entry in entries]}")
        for before, after in zip(entries, entries[1:], strict=False):
            if before[2] is None or str(before[2]) > str(after[1]):
                faults.append(f"{allocation}: attempt {after[0]} was asked for before {before[0]} had ended")
        if entries and entries[-1][2] is None:
            faults.append(f"{allocation}: attempt {entries[-1][0]} is still open")
    return faults


def left_over(world: World) -> list[str]:
    """Say what is left on the engine, in the home and in the ledger once everything has ended."""
    client = docker.DockerClient(base_url=world.engine.address, timeout=30)
    try:
        faults = [
            f"container {one.name} ({one.status})"
            for one in client.containers.list(all=True, filters={"label": "dms.node"})
        ]
        faults += [f"network {one.name}" for one in client.networks.list(filters={"label": "dms.deployment"})]
        faults += [f"engine's volume {one.name}" for one in client.volumes.list()]
    finally:
        client.close()
    for folder in ("allocations", "sandboxes"):
        place = world.home / "work" / folder
        faults += (
            [f"folder {path.relative_to(world.home)}" for path in place.glob("*")] if place.is_dir() else []
        )
    found = rows(world)
    for what in ("unfinished", "allocations", "leases", "reservations", "ports"):
        faults += [f"row of {what}: {one}" for one in found[what]]
    return faults + attempts(found["attempts"])


def engine_restarts(found: Mapping[str, list[list[Any]]]) -> int:
    """Return how many attempts ended because their engine was restarted."""
    return sum(1 for entries in found.values() for entry in entries if entry[3] == "engine_restarted")

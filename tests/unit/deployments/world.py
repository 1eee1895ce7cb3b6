"""A node that can take work, an owner, and ensembles, for the tests of this room."""

from __future__ import annotations

import itertools
from typing import Any

from django.utils import timezone

from capabilities import custody, selectors
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import Identity
from deployments.models import Allocation, Deployment
from deployments.services.allocations import Ending, allocation_ended, allocation_started
from deployments.services.submit import deployment_submit
from node.models import Node, Onboarding

GIB = 1 << 30
COUNTER = itertools.count(1)


def make_node(**offer: int) -> Node:
    """Return an onboarded node (2 cores, 8 GiB, 50 GiB unless told otherwise) with both executors."""
    key = PrivateKey.generate()
    custody.keep(key)
    selectors.forget()
    number = next(COUNTER)
    identity = Identity.objects.create(did=did_of(key.public), kind=Identity.Kind.NODE, name=f"box{number}")
    node = Node.objects.create(
        identity=identity,
        name=f"box{number}",
        peer_id=key.public.peer_id(),
        cid=key.public.cid(),
        public_key=key.public.marshal(),
        executors={name: {"available": True, "detail": "", "hint": ""} for name in ("docker", "process")},
    )
    values = {"cpu_centicores": 200, "ram_bytes": 8 * GIB, "disk_bytes": 50 * GIB} | offer
    Onboarding.objects.create(node=node, **values)
    return node


def make_owner(name: str = "alice") -> Identity:
    """Return a user's identity."""
    key = PrivateKey.generate()
    return Identity.objects.create(did=did_of(key.public), kind=Identity.Kind.USER, name=name)


def allocation(kind: str = "task", **changes: Any) -> dict[str, Any]:
    """Return the YAML tree of one small allocation."""
    return {
        "type": kind,
        "executor": "process",
        "resources": {"cpu": {"cores": 0.5}, "ram": {"size": "256MiB"}, "disk": {"size": "1GiB"}},
        "execution": {"type": "process", "cmd": ["true"]},
    } | changes


def ensemble(allocations: dict[str, Any], **root: Any) -> dict[str, Any]:
    """Return an ensemble with all allocations on one node."""
    return {"allocations": allocations, "nodes": {"here": {"allocations": list(allocations)}}} | root


def submit(
    node: Node, owner: Identity, tree: dict[str, Any], deadline_s: float | None = None, **asked: Any
) -> Deployment:
    """Submit it and return its row."""
    return deployment_submit(
        owner=owner, node=node, ensemble=tree, now=timezone.now(), deadline_s=deadline_s, **asked
    )


def started(row: Allocation) -> bool:
    """Report, as a worker does, that an allocation runs."""
    row = Allocation.objects.select_related("deployment", "owner", "node__identity").get(pk=row.pk)
    return allocation_started(row, priv_addr="172.20.0.2", started_at=timezone.now())


def ended(row: Allocation, cause: str, exit_code: int | None = 0) -> bool:
    """Report, as a worker does, how an allocation ended."""
    row = Allocation.objects.select_related("deployment", "owner", "node__identity").get(pk=row.pk)
    return allocation_ended(row, Ending(cause, "as reported", exit_code))

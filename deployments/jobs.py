"""Jobs: what runs on this site's machines, for whom, since when, and what allows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from capabilities.context import Decision
from capabilities.models import Identity
from capabilities.selectors import rows_of
from capabilities.services import authorize, is_root
from deployments import states
from deployments.models import Allocation
from deployments.selectors import allocations_visible_to

NEW = "/dms/node/deployment/new"
SHOWN = 200


@dataclass(slots=True)
class Job:
    """The allocations of one deployment on one node."""

    first: Allocation
    allocations: list[Allocation] = field(default_factory=list)
    allowed: bool = True
    by: str = ""
    until: datetime | None = None

    @property
    def since(self) -> datetime:
        """When the first of them was made."""
        return min(row.created_at for row in self.allocations)


def jobs(identity: Identity) -> list[Job]:
    """Return what runs on the site's nodes, newest first, each with the token on which its owner's right rests."""
    rows = (
        allocations_visible_to(identity)
        .exclude(status__in=states.ALLOCATION_TERMINAL)
        .select_related("deployment", "owner", "node")
        .defer("spec", "deployment__ensemble", "deployment__manifest")
        .order_by("-created_at", "id")[: SHOWN * 5]
    )
    found: dict[tuple[str, str], Job] = {}
    for row in rows:
        found.setdefault((row.deployment_id, str(row.node_id)), Job(row)).allocations.append(row)
    listed = list(found.values())[:SHOWN]
    _rights(listed)
    return listed


def _rights(listed: Iterable[Job]) -> None:
    """Say of each job on what the right of its owner rests now: asked once for each owner."""
    known: dict[int, tuple[bool, str, datetime | None]] = {}
    for job in listed:
        owner = job.first.owner
        if owner.pk not in known:
            known[owner.pk] = _right(owner)
        job.allowed, job.by, job.until = known[owner.pk]


def _right(owner: Identity) -> tuple[bool, str, datetime | None]:
    if is_root(owner):
        return True, "a root of this node", None
    decision: Decision = authorize(owner, NEW)
    if not decision.allowed:
        return False, "no token that still counts", None
    token = decision.token
    if token is None:
        return True, decision.why, None
    row = rows_of(token.key).first()
    return True, f"token {row.pk}" if row else decision.why, row.expires_at if row else None

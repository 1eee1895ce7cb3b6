"""The list of deployments as pages show it: filter, sort, page, totals, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.core.paginator import Page
from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When

from capabilities.models import Identity
from capabilities.paging import KeyPaginator
from deployments.models import DOCUMENTS, Allocation, Deployment
from deployments.selectors import visible_to
from deployments.services.queue import places as queue_places

PAGE_ROWS = 50
SORTS = {"created": "created_at", "name": "name", "status": "status", "owner": "owner__name"}
DEFAULT_SORT = "-created"
# A state that people see: Preparing, but waiting for room.
QUEUED = "queued"
SHOWN_STATES = (QUEUED, *Deployment.Status.values)

# No field is longer, and databases give up on patterns of some 50 kB.
SEARCH_MAX = 255


@dataclass(frozen=True, slots=True)
class Row:
    """One deployment and what its allocations do."""

    deployment: Deployment
    allocations: int
    running: int
    completed: int
    peers: int
    elsewhere: int
    queue: tuple[int, int] | None = None

    @property
    def detail(self) -> str:
        """What stands beside the state while it is on its way."""
        status = self.deployment.status
        if status == Deployment.Status.PROVISIONING and self.allocations > 1:
            return f"{self.running} of {self.allocations}"
        return ""

    @property
    def where(self) -> str:
        """Where it runs and how much of it does."""
        if self.queue:
            return f"place {self.queue[0]} of {self.queue[1]} in the queue"
        if not self.allocations:
            return "not placed"
        place = "here" if not self.elsewhere else f"{self.peers} peer{'s' if self.peers != 1 else ''}"
        if self.deployment.status == Deployment.Status.COMPLETED:
            return f"{place} · {self.completed} of {self.allocations} completed"
        return f"{place} · {self.running} of {self.allocations} running"


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list, and what it was asked for."""

    rows: list[Row]
    page: Page[Deployment]
    totals: dict[str, int]
    search: str
    status: str
    owner: str
    sort: str

    @property
    def filtered(self) -> bool:
        """Whether something was asked for that may hide rows."""
        return bool(self.search or self.status or self.owner)


def deployment_rows(deployments: list[Deployment]) -> list[Row]:
    """Return rows for `deployments` with one query over all their allocations."""
    home = {deployment.pk: deployment.orchestrator_id for deployment in deployments}
    counts: dict[str, dict[str, int]] = {}
    queue = queue_places(deployments)
    places: dict[str, set[object]] = {}
    grouped = (
        Allocation.objects.filter(deployment__in=list(home))
        .order_by()
        .values("deployment_id", "node_id", "status")
        .annotate(count=Count("pk"))
    )
    for line in grouped:
        of = counts.setdefault(line["deployment_id"], {})
        of[line["status"]] = of.get(line["status"], 0) + line["count"]
        places.setdefault(line["deployment_id"], set()).add(line["node_id"])
    return [
        Row(
            deployment,
            allocations=sum(counts.get(deployment.pk, {}).values()),
            running=counts.get(deployment.pk, {}).get("running", 0),
            completed=counts.get(deployment.pk, {}).get("completed", 0),
            peers=len(places.get(deployment.pk, ())),
            elsewhere=len(places.get(deployment.pk, set()) - {deployment.orchestrator_id}),
            queue=queue.get(deployment.pk),
        )
        for deployment in deployments
    ]


def light(rows: QuerySet[Deployment]) -> QuerySet[Deployment]:
    """Leave out what no list shows and join what every list shows."""
    return rows.select_related("owner").defer(*DOCUMENTS)


def _waiting() -> Q:
    return Q(status=Deployment.Status.PREPARING, queued_at__isnull=False)


def _totals(rows: QuerySet[Deployment]) -> dict[str, int]:
    """Return how many there are in each state as people see it."""
    shown = Case(When(_waiting(), then=Value(QUEUED)), default=F("status"), output_field=CharField())
    lines = rows.order_by().annotate(shown=shown).values("shown").annotate(count=Count("pk"))
    return {line["shown"]: line["count"] for line in lines}


def listing(identity: Identity, asked: Mapping[str, str]) -> Listing:
    """Return the page that `asked` (q, status, owner, sort, page) describes."""
    search, status, owner = (asked.get(key, "").strip()[:SEARCH_MAX] for key in ("q", "status", "owner"))
    sort = asked.get("sort", "") or DEFAULT_SORT
    field = SORTS.get(sort.lstrip("-")) or SORTS[DEFAULT_SORT.lstrip("-")]
    rows = visible_to(identity)
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(id__startswith=search.lower()))
    if owner:
        rows = rows.filter(Q(owner__name__icontains=owner) | Q(owner__did=owner))
    totals = _totals(rows)
    if status == QUEUED:
        rows = rows.filter(_waiting())
    elif status in SHOWN_STATES:
        rows = rows.filter(status=status).exclude(_waiting())
    ordered = light(rows).order_by(f"{'-' if sort.startswith('-') else ''}{field}", "-id")
    pages = KeyPaginator(ordered, PAGE_ROWS)
    # What the totals have counted need not be counted again.
    pages.count = totals.get(status, 0) if status in SHOWN_STATES else sum(totals.values())
    page = pages.get_page(asked.get("page", "1"))
    return Listing(deployment_rows(list(page.object_list)), page, totals, search, status, owner, sort)

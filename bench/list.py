"""Lists over 10,000 deployments of 5 allocations and 50 events each: the 95th percentile of each way to ask.

The floor is the same with 10 deployments, in the same run. Each request finds SQLite with nothing read so far: its
connection is a new one. `queries` is how many queries the one that takes most of them makes; it must not grow.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.result import Result

if TYPE_CHECKING:
    from django.test import Client

FEW, MANY = 10, 10_000
ROUNDS = 40
BAR_MS = 100.0
# Each way to ask one of the lists; {id} is the beginning of an id that is there.
ASKED = {
    "list-rest": (
        "/api/v1/deployments/",
        "/api/v1/deployments/?offset={far}",
        "/api/v1/deployments/?status=Failed",
        "/api/v1/deployments/?status__in=Running,Preparing&ordering=name",
        "/api/v1/deployments/?queued_at__isnull=false",
        "/api/v1/deployments/?search=crowd-1",
        "/api/v1/deployments/?search=nothing-at-all",
        "/api/v1/deployments/?ordering=updated_at&offset={far}",
        "/api/v1/allocations/",
        "/api/v1/allocations/?status=completed&offset={far}",
        "/api/v1/deployments/{id}/events/",
    ),
    "list-page": (
        "/",
        "/deployments/",
        "/deployments/?page={page}",
        "/deployments/?status=Failed",
        "/deployments/?status=queued",
        "/deployments/?status=Completed&sort=name&page={half}",
        "/deployments/?q=crowd-1",
        "/deployments/?q=nothing-at-all",
        "/deployments/?owner=bob&sort=owner",
    ),
    "list-admin": (
        "/admin/deployments/deployment/",
        "/admin/deployments/deployment/?p={p}",
        "/admin/deployments/deployment/?status__exact=Failed",
        "/admin/deployments/deployment/?q=crowd-1",
        "/admin/deployments/deployment/?q=nothing-at-all",
        "/admin/deployments/deployment/?o=1",
        "/admin/deployments/allocation/",
        "/admin/deployments/deploymentevent/",
    ),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What one way to ask took: the 95th percentile in milliseconds, and how many queries."""

    p95_ms: float
    queries: int


def run() -> list[Result]:
    """Ask with few deployments and with many, as a root and as somebody who owns half of them."""
    with tempfile.TemporaryDirectory(prefix="dms-bench-list-") as folder:
        clients = _site(Path(folder))
        from bench.crowd import add

        place = _place()
        add(0, FEW, **place)
        few = _measure(clients, FEW)
        begun = time.monotonic()
        add(FEW, MANY, **place)
        print(f"{MANY:,} deployments made in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        many = _measure(clients, MANY)
    results = []
    for name in ASKED:
        slowest = max((key for key in many if key[0] == name), key=lambda key: many[key].p95_ms)
        ours = many[slowest].p95_ms
        print(f"{name}: slowest is {slowest[2]} as {slowest[1]}", file=sys.stderr)
        floor = max(taken.p95_ms for key, taken in few.items() if key[0] == name)
        results.append(Result(name, ours, floor, "ms (p95)", BAR_MS, ours < BAR_MS))
    grown = {
        key: (few[key].queries, many[key].queries) for key in few if many[key].queries > few[key].queries
    }
    for key, counts in grown.items():
        print(f"{key[2]} as {key[1]}: {counts[0]} queries became {counts[1]}", file=sys.stderr)
    asked, asked_few = (max(taken.queries for taken in found.values()) for found in (many, few))
    results.append(Result("list-queries", asked, asked_few, "queries", asked_few, not grown))
    return results


def _site(folder: Path) -> dict[str, Client]:
    """Make a site in `folder` and return who asks: a root, and bob."""
    os.environ["DMS_HOME"] = str(folder)
    from dmsweb.prepare import prepare

    prepare(lambda text: None)
    from django.conf import settings
    from django.test import Client

    from dmsweb.accounts.models import User
    from dmsweb.accounts.services import user_create

    settings.ALLOWED_HOSTS = ["*"]
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    people = {"admin": User.objects.get(username="admin"), "bob": user_create("bob")}
    clients = {name: Client() for name in people}
    for name, client in clients.items():
        client.force_login(people[name])
    from dmsweb.warm import warm

    warm()
    return clients


def _place() -> dict[str, Any]:
    from datetime import timedelta

    from django.utils import timezone

    from capabilities.models import Identity
    from node.models import Node

    owners = [Identity.objects.get(user__username=name) for name in ("admin", "bob")]
    return {"node": Node.objects.get(), "owners": owners, "now": timezone.now() - timedelta(days=8)}


def _measure(clients: dict[str, Client], count: int) -> dict[tuple[str, str, str], Taken]:
    """Return for each way to ask, and each who asks, what it took."""
    found = {}
    for name, paths in ASKED.items():
        for person, client in clients.items():
            if name == "list-admin" and person != "admin":
                continue
            for path in paths:
                found[(name, person, path)] = _ask(client, path.format(**places_of(count)))
    return found


def places_of(count: int) -> dict[str, object]:
    """Return what the addresses are filled in with when there are `count`."""
    import hashlib

    shown = 50
    return {
        "far": max(0, count // 2 - shown),
        "page": max(1, count // 2 // shown),
        "half": max(1, count // 4 // shown),
        "p": max(1, count // shown),
        "id": hashlib.sha256(b"crowd 1").hexdigest(),
    }


def _ask(client: Client, path: str) -> Taken:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path)
    asked = len(queries)
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code}")
    times = []
    for _ in range(ROUNDS):
        connection.close()
        begun = time.perf_counter()
        client.get(path)
        times.append((time.perf_counter() - begun) * 1000)
    return Taken(sorted(times)[int(ROUNDS * 0.95)], asked)

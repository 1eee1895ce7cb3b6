"""Lists over many deployments: queries that do not grow, indexes that spare the rows, pages far back."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bench.crowd import add
from bench.list import ASKED, places_of
from capabilities.paging import KeyPaginator, rows_of
from deployments.models import Deployment, DeploymentEvent
from deployments.selectors import allocations_visible_to, events_visible_to, latest_events, visible_to

FEW, MANY = 10, 200


@pytest.fixture
def crowd(people):
    """Return a function that adds deployments of alice and bob, with 5 allocations and 50 events each."""
    owners, now = [people.identity("alice"), people.identity("bob")], timezone.now()
    return lambda begin, end: add(begin, end, node=people.node, owners=owners, now=now)


def test_every_list_asks_as_many_queries_for_hundreds_as_for_ten(crowd, people):
    clients = {name: people.client(name) for name in ("alice", "bob")}

    def asked(count: int) -> dict[tuple[str, str], int]:
        found = {}
        for name, paths in ASKED.items():
            for person in ("alice",) if name == "list-admin" else ("alice", "bob"):
                for path in paths:
                    with CaptureQueriesContext(connection) as queries:
                        answer = clients[person].get(path.format(**places_of(count)))
                    assert answer.status_code == 200, path
                    found[person, path] = len(queries)
        return found

    crowd(0, FEW)
    asked(FEW)
    few = asked(FEW)
    crowd(FEW, MANY)
    many = asked(MANY)
    assert {key: (few[key], many[key]) for key in few if many[key] > few[key]} == {}
    assert max(many.values()) <= 28


def test_pages_are_the_rows_in_their_order(crowd):
    crowd(0, 60)
    rows = (
        Deployment.objects.filter(status="Completed").select_related("owner").order_by("-owner__name", "name")
    )
    assert rows_of(rows, 10, 25) == list(rows[10:25])
    pages = KeyPaginator(rows, 25)
    assert [row for number in pages.page_range for row in pages.page(number)] == list(rows)
    with CaptureQueriesContext(connection) as queries:
        owners = [row.owner.name for row in pages.page(1)]
    assert owners == [row.owner.name for row in rows[:25]]
    assert len(queries) == 2  # which, and their rows; how many there are was known


@pytest.mark.sqlite  # another database has another planner
def test_counting_filtering_and_sorting_read_an_index_alone(people):
    for name in ("alice", "bob"):
        rows = visible_to(people.identity(name)).filter(status="Failed").order_by("name").values("pk")
        assert "COVERING INDEX deployment_" in rows.explain()
    held = allocations_visible_to(people.identity("alice")).order_by("-created_at").values("pk")
    assert "COVERING INDEX allocation_" in held.explain()
    newest = events_visible_to(people.identity("alice")).order_by("-at", "-id")[:8]
    assert "INDEX deployment_events_newest" in newest.explain()
    assert "TEMP B-TREE" not in newest.explain()


@pytest.mark.sqlite  # PostgreSQL keeps long values elsewhere
def test_documents_are_the_last_columns_of_the_table(db):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA table_info(deployments_deployment)")
        columns = [row[1] for row in cursor.fetchall()]
    # A column that was added later stands behind them: lists join the team where there is one.
    assert [name for name in columns if name != "team_id"][-3:] == ["source", "ensemble", "manifest"]


def test_what_waits_is_shown_and_filtered_apart(crowd, people):
    crowd(0, FEW)
    bob = people.client("bob")
    listing = bob.get("/deployments/?status=queued").context["listing"]
    assert [(row.deployment.status, row.where) for row in listing.rows] == [
        ("Preparing", "place 2 of 2 in the queue")
    ]
    assert listing.page.paginator.count == 1
    assert listing.totals == {"queued": 1, "Failed": 1, "Running": 1, "Provisioning": 1, "Completed": 1}
    assert bob.get("/deployments/?status=Preparing").context["listing"].rows == []
    Deployment.objects.filter(status="Preparing").update(queued_at=None)
    assert len(bob.get("/deployments/?status=Preparing").context["listing"].rows) == 1
    assert b"Nothing matches" in bob.get("/deployments/?status=queued").content


def test_people_see_what_happened_last_to_their_own(crowd, people):
    crowd(0, 60)
    alice, bob, charlie = (people.identity(name) for name in ("alice", "bob", "charlie"))
    for person, seen in ((alice, {alice, bob}), (bob, {bob})):
        mine = DeploymentEvent.objects.filter(deployment__owner__in=seen).exclude(kind="progress")
        assert latest_events(person, 8) == list(mine.order_by("-at", "-id")[:8])
    assert latest_events(charlie, 8) == []
    old = Deployment.objects.filter(owner=bob, status="Running").order_by("created_at")[0]
    said = DeploymentEvent.objects.create(
        deployment=old, kind="health", text="is well again", at=timezone.now()
    )
    DeploymentEvent.objects.exclude(pk=said.pk).filter(at__gt=said.at).delete()
    assert latest_events(bob, 8)[0] == said
    Deployment.objects.filter(pk=old.pk).update(delete_wanted=True)
    assert said not in latest_events(bob, 8) + latest_events(alice, 8)
    assert not allocations_visible_to(alice).filter(deployment=old).exists()


def test_a_search_finds_names_beginnings_of_ids_and_reasons(crowd, people):
    crowd(0, FEW)
    client = people.client("alice")

    def found(**asked: str) -> set[str]:
        return {row["name"] for row in client.get("/api/v1/deployments/", asked).json()["items"]}

    last = Deployment.objects.get(name="crowd-9")
    assert found(search="wd-9") == {"crowd-9"}
    assert found(search=last.pk[:12]) == {"crowd-9"}
    assert found(search=last.pk[12:24]) == set()
    assert found(search="64 cores") == {"crowd-2", "crowd-3"}
    assert found(search="64 crowd-2") == {"crowd-2"}
    assert found(search="nothing") == set()


def test_the_admin_filters_timelines_by_kind(crowd, people):
    crowd(0, FEW)
    page = people.client("alice").get("/admin/deployments/deploymentevent/?kind=status")
    shown = page.context["cl"].result_list
    assert {row.kind for row in shown} == {"status"}
    assert [row.at for row in shown] == sorted((row.at for row in shown), reverse=True)
    assert b"recovery" in page.content

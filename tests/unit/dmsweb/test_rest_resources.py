"""Lists over REST: own rows only, filtered, ordered, paged, in a constant number of queries; logs as text."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from capabilities.models import AuditEntry
from capabilities.services import identity_for_user
from deployments.models import Allocation, Bid, BidRequest, Deployment, DeploymentEvent
from deployments.outside import OUTSIDE
from deployments.services.timeline import record
from dmsweb.accounts.services import user_create
from dmsweb.accounts.tokens import token_create
from node.models import NodeEvent, PortReservation, Reservation, UsageSample
from tests.unit.node.doorway import house

pytestmark = pytest.mark.django_db(databases=["default", "nonces"])
LISTS = (
    "deployments",
    "allocations",
    "events",
    "bids",
    "nodes",
    "reservations",
    "ports",
    "grants",
    "audit",
    "tokens",
)
NOW = timezone.now()


def bearer(user):
    return Client(headers={"authorization": f"Bearer {token_create(user, 'test')}"})


@pytest.fixture
def here():
    with house() as made:
        yield made


@pytest.fixture
def people(here):
    """alice owns deployments a0.., bob b0..; each row of every kind has an owner."""
    made = {}
    for name in ("alice", "bob"):
        user = user_create(name)
        made[name] = identity_for_user(user)
        fill(here, made[name], name[0], 3)
    return made


def fill(here, owner, letter, count, begin=0):
    for number in range(begin, begin + count):
        deployment = Deployment.objects.create(
            id=f"{letter}{number:063d}",
            owner=owner,
            orchestrator=here.node,
            name=f"{letter}{number}",
            source="x",
            ensemble={"V1": {}},
            status="Running" if number % 2 else "Failed",
            deadline_at=NOW,
            created_at=NOW + timedelta(seconds=number),
        )
        allocation = Allocation.objects.create(
            id=f"{deployment.pk}_n1.web",
            deployment=deployment,
            owner=owner,
            node=here.node,
            ensemble_node="n1",
            name="web",
            type="task",
            executor="process",
            spec={},
            dns_name="web",
        )
        DeploymentEvent.objects.create(
            deployment=deployment, allocation=allocation, kind="status", text="went on"
        )
        request = BidRequest.objects.create(deployment=deployment, request={})
        Bid.objects.create(request=request, node=here.node, ensemble_node="n1", verdict="won")
        Reservation.objects.create(
            node=here.node,
            owner=owner,
            deployment_id=deployment.pk,
            allocation_id=allocation.pk,
            cpu_centicores=1,
            ram_bytes=1,
            disk_bytes=1,
        )
        port = 20_000 + number + 1000 * ord(letter)
        PortReservation.objects.create(node=here.node, port=port % 65_536, allocation_id=allocation.pk)
        AuditEntry.objects.create(actor=owner.did, path="/x", outcome="allowed", source="rest")
        NodeEvent.objects.create(node=here.node, kind="x", text="x", actor=owner.did)
        UsageSample.objects.create(node=here.node, cpu_percent=1, ram_used_bytes=1, disk_used_bytes=1)


def items(client, path, **query):
    answer = client.get(f"/api/v1/{path}", query)
    assert answer.status_code == 200, answer.content
    assert set(answer.json()) == {"items", "total", "next"}
    return answer.json()["items"]


def test_each_sees_her_own_and_a_root_sees_all(here, people):
    alice, bob, root = (bearer(identity.user) for identity in (people["alice"], people["bob"], here.root))
    for path in ("deployments", "allocations", "events", "bids", "reservations", "ports"):
        own, others = items(alice, f"{path}/"), items(bob, f"{path}/")
        assert len(own) == len(others) == 3, path
        assert not {str(row) for row in own} & {str(row) for row in others}
        assert len(items(root, f"{path}/")) == 6
    assert {row["actor"] for row in items(alice, "audit/")} == {people["alice"].did}
    assert len(items(alice, "grants/")) == 1


def test_to_a_stranger_it_does_not_exist(here, people):
    alice, bob = bearer(people["alice"].user), bearer(people["bob"].user)
    deployment = Deployment.objects.filter(owner=people["alice"])[0]
    allocation = deployment.allocations.get()
    paths = [
        f"deployments/{deployment.pk}/",
        f"deployments/{deployment.pk}/events/",
        f"allocations/{allocation.pk}/",
        f"events/{deployment.events.get().pk}/",
        f"reservations/{allocation.pk}/",
        f"ports/{PortReservation.objects.get(allocation_id=allocation.pk).pk}/",
        f"bids/{Bid.objects.get(request__deployment=deployment).pk}/",
        f"grants/{people['alice'].tokens.get().pk}/",
        f"audit/{AuditEntry.objects.filter(actor=people['alice'].did)[0].pk}/",
    ]
    for path in paths:
        assert alice.get(f"/api/v1/{path}").status_code == 200, path
        refused = bob.get(f"/api/v1/{path}")
        assert (refused.status_code, refused.json()["type"]) == (404, "urn:dms:problem:not_found"), path
        assert Client().get(f"/api/v1/{path}").status_code == 401
        assert alice.delete(f"/api/v1/{path}").status_code == 405
    assert bob.get(f"/api/v1/allocations/{allocation.pk}/logs/").status_code == 404
    assert alice.get("/api/v1/deployments/unknown/").status_code == 404


def test_lists_filter_order_search_and_page(here, people):
    alice = bearer(people["alice"].user)
    assert {row["name"] for row in items(alice, "deployments/", status="Failed")} == {"a0", "a2"}
    assert [row["name"] for row in items(alice, "deployments/")] == ["a2", "a1", "a0"]
    assert [row["name"] for row in items(alice, "deployments/", ordering="created_at")] == ["a0", "a1", "a2"]
    assert [row["name"] for row in items(alice, "deployments/", search="a1")] == ["a1"]
    first = alice.get("/api/v1/deployments/", {"limit": 2}).json()
    assert (len(first["items"]), first["total"]) == (2, 3)
    second = alice.get(first["next"]).json()
    assert ([row["name"] for row in second["items"]], second["next"]) == (["a0"], None)
    bad = alice.get("/api/v1/deployments/", {"status": "Nonsense"})
    assert bad.status_code == 400
    assert bad.json()["errors"][0]["path"] == "status"


def test_one_deployment_shows_what_was_asked_for(here, people):
    alice = bearer(people["alice"].user)
    deployment = Deployment.objects.filter(owner=people["alice"])[0]
    shown = alice.get(f"/api/v1/deployments/{deployment.pk}/").json()
    assert shown["ensemble"] == {"V1": {}}
    assert "ensemble" not in items(alice, "deployments/")[0]
    assert items(alice, f"deployments/{deployment.pk}/events/")[0]["text"] == "went on"


def test_the_machine_is_shown_to_whoever_may_ask_about_it(here, people):
    alice = bearer(people["alice"].user)
    (node,) = items(alice, "nodes/")
    assert (node["name"], node["did"], node["onboarded"]) == ("here", here.node.identity.did, False)
    assert len(items(alice, f"nodes/{node['id']}/samples/", limit=2)) == 2
    assert {row["actor"] for row in items(alice, f"nodes/{node['id']}/events/")} == {people["alice"].did}
    people["alice"].tokens.update(revoked_at=NOW)
    refused = alice.get("/api/v1/nodes/")
    assert (refused.status_code, refused.json()["capability"]) == (403, "/dms/node/hardware")
    assert alice.get(f"/api/v1/nodes/{node['id']}/").status_code == 403


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_the_same_number_of_queries_however_long(here, people, path):
    client = bearer(here.root.user)
    client.get(f"/api/v1/{path}/")  # the capability context is read once and kept
    counts = []
    for begin in (10, 30):
        fill(here, people["alice"], "a", 10, begin=begin)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(f"/api/v1/{path}/", {"limit": 1000}).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


def test_tokens_are_made_listed_and_revoked(here, people):
    alice, bob = bearer(people["alice"].user), bearer(people["bob"].user)
    made = alice.post("/api/v1/tokens/", {"name": "laptop"}, content_type="application/json")
    assert made.status_code == 201
    fresh = Client(headers={"authorization": f"Bearer {made.json()['token']}"})
    me = fresh.get("/api/v1/me/").json()
    assert (me["name"], me["did"], me["root"]) == ("alice", people["alice"].did, False)
    assert "/dms/node/deployment" in me["capabilities"]
    assert {row["name"] for row in items(alice, "tokens/")} == {"laptop", "test"}
    assert made.json()["token"] not in str(items(alice, "tokens/"))
    key = next(row["token_key"] for row in items(alice, "tokens/") if row["name"] == "laptop")
    assert bob.delete(f"/api/v1/tokens/{key}/").status_code == 404
    assert alice.delete(f"/api/v1/tokens/{key}/").status_code == 204
    assert fresh.get("/api/v1/me/").status_code == 401


class Lines:
    """A log source that hands out its lines and then waits until it is stopped."""

    def __init__(self):
        self.asked, self.ended = {}, threading.Event()

    def read(self, allocation_id, query, *, stopped=lambda: False):
        self.asked = {
            "id": allocation_id, "stream": query.stream, "tail": query.tail, "follow": query.follow,
        }  # fmt: skip
        try:
            yield b"one\n"
            yield b"two\n"
            while query.follow and not stopped():
                threading.Event().wait(0.01)
        finally:
            self.ended.set()

    def write(self, allocation_id):
        return ""


def test_a_log_is_text(here, people, monkeypatch):
    source = Lines()
    monkeypatch.setattr(OUTSIDE, "logs", source)
    alice = bearer(people["alice"].user)
    allocation = Allocation.objects.filter(owner=people["alice"])[0]
    answer = alice.get(f"/api/v1/allocations/{allocation.pk}/logs/", {"stream": "stderr", "tail": "5"})
    assert (answer.content, answer.headers["Content-Type"]) == (b"one\ntwo\n", "text/plain; charset=utf-8")
    assert source.asked == {"id": allocation.pk, "stream": "stderr", "tail": 5, "follow": False}
    bad = alice.get(
        f"/api/v1/allocations/{allocation.pk}/logs/", {"stream": "x", "tail": "-1", "follow": "perhaps"}
    )
    assert bad.status_code == 400
    assert {error["path"] for error in bad.json()["errors"]} == {"stream", "tail", "follow"}


@pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
async def test_a_followed_log_ends_when_its_reader_leaves(monkeypatch):
    from asgiref.sync import sync_to_async

    source = Lines()
    monkeypatch.setattr(OUTSIDE, "logs", source)
    stack = house()
    made = await sync_to_async(stack.__enter__)()
    try:
        await sync_to_async(fill)(made, made.root, "r", 1)
        token = await sync_to_async(token_create)(made.root.user, "test")  # type: ignore[arg-type]
        headers = {"authorization": f"Bearer {token}"}
        path = f"/api/v1/allocations/r{0:063d}_n1.web/logs"
        answer = await AsyncClient().get(path, {"follow": "true"}, headers=headers)
        assert answer.status_code == 200, answer.content
        stream = answer.streaming_content  # type: ignore[attr-defined]
        assert [await anext(stream), await anext(stream)] == [b"one\n", b"two\n"]
        assert not source.ended.is_set()
        await sync_to_async(answer.close)()  # what the server does when the reader has gone
        assert await sync_to_async(source.ended.wait)(10)
    finally:
        await sync_to_async(stack.__exit__)(None, None, None)


def test_timelines_are_filtered_and_handed_over_as_files(here, people):
    alice = bearer(people["alice"].user)
    deployment = Deployment.objects.filter(owner=people["alice"])[0]
    record(deployment, "shutdown", "asked for", actor="did:key:x")
    record(deployment, "notice", "said")
    found = alice.get("/api/v1/events/", {"deployment": deployment.pk, "actor": "did:key:x"}).json()
    assert [row["kind"] for row in found["items"]] == ["shutdown"]
    both = {"deployment": deployment.pk, "kind__in": "shutdown,notice"}
    lines = alice.get("/api/v1/events/export/", both).content.decode().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["said", "asked for"]
    answer = alice.get("/api/v1/events/export/", both | {"as": "csv"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="events.csv"'
    assert answer.content.decode().splitlines()[0].startswith("id,at,")
    assert alice.get("/api/v1/events/export/", {"as": "xml"}).status_code == 400
    assert bearer(people["bob"].user).get("/api/v1/events/export/", both).content == b""
    assert alice.get("/api/v1/node-events/").status_code == 200

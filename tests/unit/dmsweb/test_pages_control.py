"""Plan, queue and drain as people meet them on pages and in the API."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from deployments.models import Deployment
from deployments.services.advance import deployment_advance
from node.models import Node
from node.outside import OUTSIDE
from tests.unit.deployments import world


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    monkeypatch.setattr(OUTSIDE, "probe", None)


def tree(cores):
    resources = {"cpu": {"cores": cores}, "ram": {"size": "1GiB"}, "disk": {"size": "1GiB"}}
    return world.ensemble({"one": world.allocation("service", resources=resources)})


def submit(people, cores, **asked):
    deployment = world.submit(people.node, people.identity("bob"), tree(cores), **asked)
    deployment_advance(deployment.pk)
    deployment.refresh_from_db()
    return deployment


def test_the_plan_stands_below_the_editor_and_deploys_nothing(people):
    source = json.dumps(tree(1))
    page = people.client("bob").post("/deployments/new/", {"source": source, "plan": "1"})
    text = page.content.decode()
    assert page.status_code == 200
    assert "can be placed now" in text
    assert "here.one needs" in text
    assert not Deployment.objects.exists()
    text = (
        people.client("bob")
        .post("/deployments/new/", {"source": json.dumps(tree(64)), "plan": "1"})
        .content.decode()
    )
    assert "cannot be placed" in text
    assert "64 cores" in text
    refused = people.client("bob").post("/deployments/new/", {"source": "nonsense: 1", "plan": "1"})
    assert refused.status_code == 422


def test_a_queued_deployment_tells_its_place_everywhere(people):
    submit(people, 2)
    queued = submit(people, 1, queue=True)
    second = submit(people, 0.5, queue=True)
    client = people.client("bob")
    for path in ("/deployments/", f"/deployments/{second.pk}/"):
        text = client.get(path).content.decode()
        assert "queued" in text
        assert "place 2 of 2" in text
    assert "1 core wanted, 0 cores free" in client.get(f"/deployments/{queued.pk}/").content.decode()
    items = client.get("/api/v1/deployments/?ordering=created_at").json()["items"]
    assert [item["queue_place"] for item in items] == [None, 1, 2]
    one = client.get(f"/api/v1/deployments/{second.pk}/").json()
    assert (one["queue_place"], one["queue_length"]) == (2, 2)
    assert one["queued_at"]
    assert one["queue_until"]


def test_the_editor_queues_when_asked(people):
    people.client("bob").post("/deployments/new/", {"source": json.dumps(tree(1)), "queue": "1"})
    people.client("bob").post("/deployments/new/", {"source": json.dumps(tree(1))})
    assert list(Deployment.objects.order_by("created_at").values_list("queue_wanted", flat=True)) == [
        True,
        False,
    ]


def test_draining_on_the_page_of_the_node(people):
    path = f"/nodes/{people.node.pk}/"
    Node.objects.filter(pk=people.node.pk).update(last_seen_at=timezone.now() + timedelta(seconds=30))
    admin = people.client("alice")
    assert "drain-dialog" in admin.get(path).content.decode()
    assert "drain-dialog" not in people.client("bob").get(path).content.decode()
    admin.post(f"{path}drain/", {"reason": "a new disk"})
    text = people.client("bob").get(path).content.decode()
    assert "a new disk" in text
    assert "drained" in text
    assert people.client("bob").get("/api/v1/nodes/").json()["items"][0]["drain_reason"] == "a new disk"
    people.client("bob").post(f"{path}drain/", {"off": "1"})
    people.node.refresh_from_db()
    assert people.node.draining_at is not None
    admin.post(f"{path}drain/", {"off": "1"})
    people.node.refresh_from_db()
    assert people.node.draining_at is None


def test_quotas_are_shown_and_set_on_their_page(people):
    admin, bob = people.client("alice"), people.client("bob")
    assert "Nothing is limited for you" in bob.get("/account/quota/").content.decode()
    assert "Your quota" not in bob.get("/").content.decode()
    admin.post(
        "/account/quota/", {"identity": people.identity("bob").did, "cpu_centicores": "1.5", "gpus": "0"}
    )
    submit(people, 1)
    for path in ("/account/quota/", "/"):
        text = bob.get(path).content.decode()
        assert "1 core of 1.5 cores" in text
        assert "Change limits" not in text
    text = admin.get("/account/quota/").content.decode()
    assert "1 core of 1.5 cores" in text
    assert "Change limits" in text
    assert (
        "is not a number"
        in admin.post(
            "/account/quota/", {"deployments": "1", "cpu_centicores": "x"}, follow=True
        ).content.decode()
    )
    bob.post("/account/quota/", {"cpu_centicores": "unlimited"})
    assert "1 core of 1.5 cores" in bob.get("/account/quota/").content.decode()
    refused = bob.post("/deployments/new/", {"source": json.dumps(tree(1))})
    assert refused.status_code == 409
    assert "1 core used, 1 core wanted, 1.5 cores allowed" in refused.content.decode()


def running_service(people):
    deployment = submit(people, 0.5)
    world.started(deployment.allocations.get())
    deployment_advance(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == "Running"
    return deployment


def test_an_allocation_is_restarted_and_stopped_from_its_page(people):
    deployment = running_service(people)
    client, path = people.client("bob"), f"/deployments/{deployment.pk}/"
    page = client.get(path).content.decode()
    assert 'data-open="control-dialog" data-fill="here.one"' in page
    answer = client.post(f"{path}allocation/", {"act": "restart", "allocation": "here.one"}, follow=True)
    assert b"here.one is being restarted." in answer.content
    row = deployment.allocations.get()
    assert (row.stop_wanted, row.restart_why) == (True, "asked for by bob")
    answer = client.post(f"{path}allocation/", {"act": "stop", "allocation": "here.one"}, follow=True)
    assert b"here.one is being stopped." in answer.content
    row.refresh_from_db()
    assert (row.stop_wanted, row.restart_why) == (True, "")


def test_what_cannot_be_done_to_an_allocation_is_said_on_its_page(people):
    deployment = running_service(people)
    client, path = people.client("bob"), f"/deployments/{deployment.pk}/allocation/"
    unknown = client.post(path, {"act": "explode", "allocation": "here.one"}, follow=True)
    assert b"restart or stop" in unknown.content
    missing = client.post(path, {"act": "restart", "allocation": "here.two"}, follow=True)
    assert b"here.one" in missing.content
    assert not deployment.allocations.get().stop_wanted
    assert people.client("charlie").post(path, {"act": "stop", "allocation": "here.one"}).status_code == 404
    Deployment.objects.filter(pk=deployment.pk).update(status="ShuttingDown")
    late = client.post(path, {"act": "restart", "allocation": "here.one"}, follow=True)
    assert b"wait until it is Running" in late.content
    assert b"control-dialog&quot;" not in late.content
    assert b'data-open="control-dialog"' not in late.content

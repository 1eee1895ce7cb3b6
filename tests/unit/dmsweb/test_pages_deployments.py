"""The pages of deployments: list, detail, editor."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.examples import about, examples
from deployments.models import Allocation, AllocationSample, Bid, BidRequest, Deployment, DeploymentEvent
from deployments.services.advance import deployment_advance
from deployments.services.timeline import record
from deployments.story import steps
from tests.unit.deployments.world import GIB, allocation, ensemble

SOURCE = json.dumps(ensemble({"hello": allocation()}, metadata={"name": "from-the-editor"}))
REASONS = [
    {
        "check": "gpu",
        "path": "nodes.gpu",
        "message": "GPU memory is too small",
        "needed": "141 GiB",
        "available": "80 GiB",
        "hint": "ask for at most 80 GiB",
    }
]


def test_an_empty_list_teaches(people):
    page = people.client("bob").get("/deployments/").content
    assert b"./dms deploy -f examples/hello.yaml" in page
    assert b"New deployment" in page
    assert b"Nothing matches" in people.client("bob").get("/deployments/?q=zzz").content


def test_the_list_filters_sorts_and_totals(people):
    for status in ("Running", "Running", "Failed"):
        people.deploy("bob", status=status)
    Deployment.objects.filter(pk=people.deploy("alice", status="Running").pk).update(name="aaa")
    client = people.client("alice")
    listing = client.get("/deployments/?status=Running").context["listing"]
    assert len(listing.rows) == 3
    assert listing.totals == {"Running": 3, "Failed": 1}
    assert len(client.get("/deployments/?owner=bob").context["listing"].rows) == 3
    assert len(client.get("/deployments/?q=aaa").context["listing"].rows) == 1
    names = [row.deployment.name for row in client.get("/deployments/?sort=name").context["listing"].rows]
    assert names == sorted(names)
    assert names[::-1] == [
        row.deployment.name for row in client.get("/deployments/?sort=-name").context["listing"].rows
    ]
    assert client.get("/deployments/?sort=nonsense&status=nonsense&page=nonsense").status_code == 200


def test_the_list_pages(people):
    first = people.deploy("bob")
    Deployment.objects.bulk_create(
        Deployment(
            id=f"{number:064x}",
            owner=first.owner,
            orchestrator=first.orchestrator,
            name=f"d{number}",
            ensemble={},
            deadline_at=timezone.now(),
        )
        for number in range(60)
    )
    page = people.client("bob").get("/deployments/?page=2").context["listing"]
    assert page.page.paginator.count == 61
    assert len(page.rows) == 11


@pytest.mark.parametrize("path", ["/", "/deployments/"])
def test_lists_ask_a_constant_number_of_queries(path, people):
    client = people.client("alice")
    people.deploy("bob")
    client.get(path)
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    for number in range(12):
        made = people.deploy(("alice", "bob")[number % 2], status="Running")
        Allocation.objects.create(
            id=f"{made.pk}_here.hello", deployment=made, owner=made.owner, node=people.node, ensemble_node="here",
            name="hello", type="task", executor="process", spec={}, dns_name="hello", status="running",
        )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        client.get(path)
    assert len(many) <= len(few) <= 25


def test_the_detail_shows_why_it_failed_with_numbers(people):
    deployment = people.deploy("bob", status="Failed", reason="no node can take it", reasons=REASONS)
    asked = BidRequest.objects.create(deployment=deployment, request={})
    Bid.objects.create(
        request=asked, node=people.node, ensemble_node="gpu", verdict="refused", reasons=REASONS
    )
    page = people.client("bob").get(f"/deployments/{deployment.pk}/").content.decode()
    for text in ("Why it failed", "no node can take it", "141 GiB", "80 GiB", "ask for at most 80 GiB"):
        assert text in page
    assert "GPU memory is too small (141 GiB wanted, 80 GiB available)" in page
    assert "Shut down" not in page


def test_the_detail_asks_a_constant_number_of_queries(people):
    deployment = people.deploy("bob", status="Running")
    client = people.client("bob")
    path = f"/deployments/{deployment.pk}/"
    client.get(path)
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    for number in range(20):
        Allocation.objects.create(
            id=f"{deployment.pk}_here.a{number}", deployment=deployment, owner=deployment.owner, node=people.node,
            ensemble_node="here", name=f"a{number}", type="task", executor="process", spec={}, dns_name=f"a{number}",
        )  # fmt: skip
        DeploymentEvent.objects.create(deployment=deployment, kind="allocation", text="x")
    with CaptureQueriesContext(connection) as many:
        client.get(path)
    assert len(many) == len(few)


def test_a_shutdown_goes_through_the_door(people):
    deployment = people.deploy("bob")
    answer = people.client("bob").post(f"/deployments/{deployment.pk}/shutdown/", follow=True)
    deployment.refresh_from_db()
    assert deployment.stop_wanted or deployment.status in {"ShuttingDown", "Completed", "Failed"}
    assert b"is being shut down" in answer.content
    again = people.client("bob").post(f"/deployments/{deployment.pk}/shutdown/", follow=True)
    assert again.status_code == 200


def test_the_editor_deploys(people):
    answer = people.client("bob").post("/deployments/new/", {"source": SOURCE})
    deployment = Deployment.objects.get()
    assert answer["Location"] == f"/deployments/{deployment.pk}/"
    assert (deployment.name, deployment.owner) == ("from-the-editor", people.identity("bob"))


def test_the_editor_keeps_the_text_and_shows_every_error(people):
    source = "allocations:\n  web:\n    executor: nope\n"
    answer = people.client("bob").post("/deployments/new/", {"source": source})
    assert answer.status_code == 422
    assert source in answer.content.decode().replace("\r\n", "\n")
    assert len(answer.context["problems"]) > 1
    assert b'data-line="' in answer.content
    assert not Deployment.objects.exists()


def test_the_check_names_lines(people):
    client = people.client("bob")
    good = client.post("/deployments/check/", {"source": SOURCE}).json()
    assert good["valid"] is True
    bad = client.post("/deployments/check/", {"source": "allocations:\n  web:\n    executor: nope\n"}).json()
    assert bad["valid"] is False
    assert all({"message", "line"} <= set(error) for error in bad["errors"])
    assert client.post("/deployments/check/", {"source": ""}).json()["valid"] is False


def test_deploy_again_starts_from_the_same_text(people):
    deployment = people.deploy("bob")
    page = people.client("bob").get(f"/deployments/new/?again={deployment.pk}")
    assert page.context["source"] == deployment.source


def test_examples_are_offered(people):
    page = people.client("bob").get("/deployments/new/?example=hello")
    assert "hello" in {example.name for example in examples()}
    assert page.context["source"].strip()
    assert about("# One.\n# Two.\n#\n# More.\nversion: V1") == "One. Two."


def test_a_partial_has_no_bar(people):
    deployment = people.deploy("bob")
    partial = people.client("bob").get(f"/deployments/{deployment.pk}/", headers={"X-Live": "1"}).content
    assert b"<html" not in partial
    assert b'id="deployment-head"' in partial


def at(seconds):
    return timezone.now().replace(microsecond=0) + timedelta(seconds=seconds)


class Event:
    """What is read of an event."""

    def __init__(self, seconds, target):
        self.at, self.kind, self.data = START + timedelta(seconds=seconds), "status", {"to": target}


START = at(0)


@pytest.mark.parametrize(
    ("status", "events", "states"),
    [
        ("Preparing", [], "done active waiting waiting waiting"),
        ("Committing", [(2, "Committing")], "done done active waiting waiting"),
        ("Provisioning", [(2, "Committing"), (3, "Provisioning")], "done done done active waiting"),
        ("Running", [(2, "Committing"), (3, "Provisioning"), (4, "Running")], "done done done done done"),
        ("Completed", [(2, "Committing"), (3, "Provisioning"), (4, "Running")], "done done done done done"),
        (
            "ShuttingDown",
            [(2, "Committing"), (3, "Provisioning"), (4, "Running")],
            "done done done done active",
        ),
        ("Failed", [(2, "Committing")], "done done failed waiting waiting"),
        ("Failed", [], "done failed waiting waiting waiting"),
    ],
)
def test_steps(status, events, states):
    told = steps(
        status=status,
        created=START,
        bids_at=START + timedelta(seconds=1),
        ended=START + timedelta(seconds=9) if status in {"Failed", "Completed"} else None,
        events=[Event(*event) for event in events],
        notes={},
        now=START + timedelta(seconds=10),
    )
    assert " ".join(step.state for step in told) == states
    assert told[0].seconds == 1.0
    assert all(step.seconds is None for step in told if step.state == "waiting")


def test_what_it_uses_is_on_its_page_and_not_for_strangers(people):
    deployment = people.deploy("bob")
    allocation = Allocation.objects.create(
        id=f"{deployment.pk}_here.hello", deployment=deployment, owner=deployment.owner, node=people.node,
        ensemble_node="here", name="hello", type="service", executor="process", status="running", dns_name="hello",
        spec={"granted": {"cpu": {"cores": 0.5}, "ram": {"size": GIB}, "disk": {"size": GIB}}},
    )  # fmt: skip
    path = f"/deployments/{deployment.pk}/"
    assert "not measured yet" in people.client("bob").get(path).content.decode()
    now = timezone.now()
    for seconds, cpu in ((10, 0), (0, 10**9)):
        AllocationSample.objects.create(
            allocation=allocation, at=now - timedelta(seconds=seconds), cpu_ns=cpu, cpu_percent=10.0, kept=True,
            ram_used_bytes=3 << 20, ram_limit_bytes=1 << 30, rx_bytes=2048 * (10 - seconds), tx_bytes=0, pids=3,
        )  # fmt: skip
    text = people.client("bob").get(f"{path}stats/").content.decode()
    assert "20 %" in text
    assert "of 0.5 cores" in text
    assert "3 MiB" in text
    assert "2 KiB/s" in text
    (one,) = people.client("bob").get(f"{path}stats/series/?allocation=here.hello").json()["Allocations"]
    assert one["history"]["cpu_percent"] == [10.0, 10.0]
    assert len(one["history"]["at"]) == 2
    assert people.client("bob").get(f"{path}stats/series/?allocation=nothing").status_code == 404
    assert people.client("charlie").get(f"{path}stats/").status_code == 404
    assert people.client("charlie").get(f"{path}stats/series/").status_code == 404
    assert people.client("bob").get(f"/api/v1/allocations/{allocation.pk}/samples/").json()["total"] == 2
    assert people.client("charlie").get(f"/api/v1/allocations/{allocation.pk}/samples/").status_code == 404


def test_empty_states_say_when_figures_come(people):
    deployment = people.deploy("bob")
    path = f"/deployments/{deployment.pk}/stats/"
    assert "ten seconds after it has started" in people.client("bob").get(path).content.decode()
    Deployment.objects.update(completed_at=timezone.now())
    assert "Nothing runs any more" in people.client("bob").get(path).content.decode()


@pytest.mark.parametrize(
    ("status", "health", "detail", "failures", "words"),
    [
        ("running", "healthy", "GET /health -> 200 after 3 ms", 0, ["health: healthy", "200 after 3 ms"]),
        (
            "running",
            "unhealthy",
            "GET /<x> -> 503 after 12 ms",
            3,
            ["health: unhealthy", "GET /&lt;x&gt; -&gt; 503 after 12 ms", "3 failures in a row"],
        ),
        ("running", "starting", "", 0, ["health: starting", "not checked yet"]),
    ],
)
def test_health_is_shown_with_its_last_answer(people, status, health, detail, failures, words):
    deployment = people.deploy("bob")
    made = {"status": status, "health": health, "health_detail": detail, "health_failures": failures}
    deployment_advance(deployment.pk)
    row = deployment.allocations.get()
    Allocation.objects.filter(pk=row.pk).update(**made)
    page = people.client("bob").get(f"/deployments/{deployment.pk}/").content.decode()
    for word in words:
        assert word in page
    document = people.client("bob").get(f"/api/v1/allocations/{row.pk}/").json()
    assert [document[key] for key in ("health", "health_detail", "health_failures")] == [
        health,
        detail,
        failures,
    ]


def test_a_restart_is_shown_with_its_reason_and_every_attempt_can_be_read(people):
    deployment = people.deploy("bob")
    deployment_advance(deployment.pk)
    row = deployment.allocations.get()
    Allocation.objects.filter(pk=row.pk).update(attempt=2, restart_why="oom_killed: more than 64 MiB")
    row.attempts.update(cause="oom_killed", exit_code=137, ended_at=timezone.now())
    row.attempts.create(number=2, execution_id="second", why="oom_killed: more than 64 MiB")
    page = people.client("bob").get(f"/deployments/{deployment.pk}/").content.decode()
    for words in ("restarting", "oom_killed: more than 64 MiB", "attempt 2"):
        assert words in page
    path = f"/api/v1/allocations/{row.pk}/"
    assert people.client("bob").get(path).json()["restart_why"] == "oom_killed: more than 64 MiB"
    found = people.client("bob").get(f"{path}attempts/").json()
    assert found["total"] == 2
    assert [(item["number"], item["cause"], item["exit_code"]) for item in found["items"]] == [
        (2, "", None),
        (1, "oom_killed", 137),
    ]
    assert people.client("charlie").get(f"{path}attempts/").status_code == 404


def test_the_timeline_shows_one_kind_and_can_be_exported(people):
    deployment = people.deploy("bob")
    record(deployment, "notice", "mind the gap")
    path = f"/deployments/{deployment.pk}/"
    whole = people.client("bob").get(path).content.decode()
    assert "mind the gap" in whole and "submitted by" in whole
    one = people.client("bob").get(path, {"event": "notice"}).content.decode()
    assert "mind the gap" in one and "submitted by" not in one
    assert f"as=csv&amp;deployment={deployment.pk}&amp;kind=notice" in one


def test_what_has_ended_is_deleted_through_the_door(people):
    deployment = people.deploy("bob")
    path = f"/deployments/{deployment.pk}/delete/"
    refused = people.client("bob").post(path, follow=True).content
    assert b"only what is Completed or Failed" in refused
    Deployment.objects.filter(pk=deployment.pk).update(status="Completed")
    assert people.client("charlie").post(path).status_code == 404
    assert b"is deleted" in people.client("bob").post(path, follow=True).content
    assert people.client("bob").get(f"/deployments/{deployment.pk}/").status_code == 404

"""Start, stop and list single containers through the door: owner, administrator, stranger, and what is foreign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from capabilities.models import AuditEntry, Identity
from capabilities.refusal import Refusal
from capabilities.services import identity_for_user
from deployments.containers import allocation_id, name_for, tree
from deployments.ensemble import parse_document
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance
from dmsweb.accounts.services import user_create
from node.door import invoke
from node.models import ForeignContainer, Node
from node.services.foreign import foreign_record
from tests.unit.deployments import world
from workers.executors.docker.spec import container_name

START = {"Image": "registry.example/team/web:1.2", "Cmd": ["serve"], "Env": {"A": "1"}}


@dataclass
class Place:
    node: Node
    admin: Identity
    alice: Identity
    bob: Identity

    def ask(self, who: Identity, verb: str, **payload: Any) -> dict[str, Any]:
        path = f"/dms/node/container/{verb}"
        return invoke(identity=who, path=path, payload=payload, source="rest", node=self.node).wire()

    def running(self, who: Identity, **changes: Any) -> Allocation:
        started = self.ask(who, "start", **(START | changes))
        deployment_advance(started["EnsembleID"])
        allocation = Allocation.objects.get(pk=started["AllocationID"])
        assert world.started(allocation)
        allocation.refresh_from_db()
        return allocation


@pytest.fixture
def place(db: None) -> Place:
    node = world.make_node()
    people = [
        identity_for_user(user_create(name, admin=admin))
        for name, admin in (("root", True), ("alice", False), ("bob", False))
    ]
    return Place(node, *people)


def stranger(node: Node, name: str = "database", container_id: str = "f00dfeed" * 8) -> ForeignContainer:
    row = ForeignContainer(container_id=container_id, name=name, image="postgres:16", state="running")
    foreign_record(node, "docker", [row], timezone.now())
    return ForeignContainer.objects.get(container_id=container_id)


def test_start_is_a_deployment_of_one_allocation(place: Place) -> None:
    port = {"Public": 20_080, "Private": 80}
    resources = {"CPU": 0.25, "RAM": "128MiB", "Disk": "2GiB"}
    answer = place.ask(place.alice, "start", **START, Ports=[port], Resources=resources)
    deployment = Deployment.objects.get(pk=answer["EnsembleID"])
    assert (answer["OK"], answer["Name"], deployment.name, deployment.owner) == (
        True,
        "web",
        "web",
        place.alice,
    )
    deployment_advance(deployment.pk)
    allocation = deployment.allocations.get()
    assert allocation.pk == answer["AllocationID"]
    assert (allocation.type, allocation.executor) == ("service", "docker")
    assert allocation.spec["execution"]["params"]["image"] == START["Image"]
    assert allocation.spec["granted"]["cpu"]["cores"] == 0.25
    assert allocation.ports == [{"public": 20_080, "private": 80, "protocol": "tcp"}]
    assert AuditEntry.objects.filter(path="/dms/node/container/start", outcome="allowed").count() == 1


def test_list_shows_the_caller_s_own_and_an_administrator_all(place: Place) -> None:
    mine, theirs = place.running(place.alice), place.running(place.bob, Name="other")
    stranger(place.node)
    (item,) = place.ask(place.alice, "list")["Containers"]
    assert (item["AllocationID"], item["ExecutionID"]) == (mine.pk, mine.execution_id)
    assert item["ContainerName"] == container_name(place.node.identity.did, mine.execution_id)
    assert (item["Running"], item["Image"], item["ReadOnly"]) == (True, START["Image"], False)
    assert (item["Name"], item["Deployment"], item["Owner"]) == ("here.web", "web", place.alice.did)
    every = place.ask(place.admin, "list")
    assert every["Total"] == 2
    assert {item["AllocationID"] for item in every["Containers"] if not item["ReadOnly"]} == {
        mine.pk,
        theirs.pk,
    }
    (foreign,) = [item for item in every["Containers"] if item["ReadOnly"]]
    assert (foreign["Name"], foreign["Image"], foreign["Running"]) == ("database", "postgres:16", True)
    assert len(place.ask(place.admin, "list", Own=True)["Containers"]) == 2
    assert place.ask(place.admin, "list", ExecutionType="process")["Containers"] == []


@pytest.mark.parametrize("by", ["execution_id", "pk", "name", "spelled", "container"])
def test_stop_by_every_name_ends_its_deployment(place: Place, by: str) -> None:
    row = place.running(place.alice)
    names = {"spelled": str(row), "container": container_name(place.node.identity.did, row.execution_id)}
    answer = place.ask(place.alice, "stop", ExecutionID=names.get(by) or getattr(row, by))
    assert answer == {"OK": True, "EnsembleID": row.deployment_id, "AllocationID": row.pk, "Error": ""}
    assert Deployment.objects.get(pk=row.deployment_id).stop_wanted


def test_a_stranger_finds_nothing_and_stops_nothing(place: Place) -> None:
    row = place.running(place.alice)
    foreign = stranger(place.node)
    assert place.ask(place.bob, "list")["Containers"] == []
    for key in (row.execution_id, row.pk, "web", foreign.container_id, foreign.name):
        with pytest.raises(Refusal) as refused:
            place.ask(place.bob, "stop", ExecutionID=key)
        assert refused.value.status == 404
    assert not Deployment.objects.get(pk=row.deployment_id).stop_wanted


@pytest.mark.parametrize("key", ["database", "f00dfeed" * 8, "f00dfeedf00d"])
def test_a_foreign_container_is_refused_with_the_reason(place: Place, key: str) -> None:
    stranger(place.node)
    with pytest.raises(Refusal, match="not this node's container") as refused:
        place.ask(place.admin, "stop", ExecutionID=key)
    assert (refused.value.code, refused.value.status) == ("foreign_container", 409)
    assert "docker stop database" in refused.value.hint


def test_what_has_ended_and_what_is_ambiguous_say_so(place: Place) -> None:
    first, second = place.running(place.alice), place.running(place.alice)
    with pytest.raises(Refusal, match="more than one") as refused:
        place.ask(place.alice, "stop", ExecutionID="web")
    assert first.execution_id in refused.value.hint
    assert second.execution_id in refused.value.hint
    world.ended(first, "exit_code", 1)
    with pytest.raises(Refusal, match="does not run: it is failed"):
        place.ask(place.alice, "stop", ExecutionID=first.execution_id)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "payload",
    [{}, {"Image": "No Image"}, {"Image": "a", "Name": "not_a_name"}, {"Image": "a", "Type": "cron"},
     {"Image": "a", "Resources": {"CPU": "many"}}, {"Image": "a", "Ports": [{"Private": 0}]}],
)  # fmt: skip
def test_what_cannot_be_started_is_refused_before_anything_is_written(
    place: Place, payload: dict[str, Any]
) -> None:
    with pytest.raises(Refusal) as refused:
        place.ask(place.alice, "start", **payload)
    assert refused.value.reasons
    assert not Deployment.objects.exists()


def test_foreign_rows_follow_the_engine(place: Place) -> None:
    first = stranger(place.node, "a", "a" * 64)
    rows = [
        ForeignContainer(container_id="a" * 64, name="a", state="exited"),
        ForeignContainer(container_id="b" * 64, name="b" * 300, state="running"),
    ]
    assert foreign_record(place.node, "docker", rows, timezone.now()) == 2
    first.refresh_from_db()
    assert first.state == "exited"
    foreign_record(place.node, "docker", [], timezone.now())
    assert not ForeignContainer.objects.exists()


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=2))
def test_every_name_that_is_made_up_is_one_that_an_ensemble_takes(image: str, command: list[str]) -> None:
    name = name_for(image, command)
    made = tree(
        name,
        executor="process",
        kind="task",
        execution={"cmd": ["true"]},
        resources={"cpu": {"cores": 1}, "ram": {"size": "64MiB"}, "disk": {"size": "1GiB"}},
        ports=[],
    )
    parsed = parse_document(made)
    assert not parsed.errors
    assert allocation_id("d", name) == f"d_here.{name}"


def test_names_people_expect() -> None:
    assert name_for("registry.example:5000/team/web:1.2", []) == "web"
    assert name_for("nginx@sha256:abc", []) == "nginx"
    assert name_for("", ["/usr/bin/env", "x"]) == "env"
    assert name_for("", []) == "container"


def test_one_of_several_allocations_is_stopped_alone(place: Place) -> None:
    tree_of_two = world.ensemble({name: world.allocation("service") for name in ("one", "two")})
    deployment = world.submit(place.node, place.alice, tree_of_two)
    deployment_advance(deployment.pk)
    one, two = deployment.allocations.order_by("name")
    assert world.started(one)
    one.refresh_from_db()
    with pytest.raises(Refusal, match="is Provisioning") as refused:
        place.ask(place.alice, "stop", ExecutionID=one.execution_id)
    assert "Running" in refused.value.hint
    assert world.started(two)
    deployment_advance(deployment.pk)
    assert place.ask(place.alice, "stop", ExecutionID=one.execution_id)["OK"]
    one.refresh_from_db()
    assert one.stop_wanted
    two.refresh_from_db()
    deployment.refresh_from_db()
    assert not two.stop_wanted
    assert not deployment.stop_wanted

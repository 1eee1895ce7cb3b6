"""The doors of the room, through the one door, as an administrator, a user and a stranger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from capabilities.models import AuditEntry, Identity
from capabilities.refusal import Refusal
from capabilities.services import identity_for_user
from deployments import behaviors, outside, states
from deployments.logquery import LogQuery
from deployments.models import Deployment
from deployments.services.advance import deployment_advance
from dmsweb.accounts.services import user_create
from node.door import invoke
from node.models import Node
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db


@dataclass
class Site:
    node: Node
    admin: Identity
    alice: Identity
    bob: Identity

    def ask(self, who: Identity, verb: str, **payload: Any) -> dict[str, Any]:
        path = f"/dms/node/deployment/{verb}"
        return invoke(identity=who, path=path, payload=payload, source="rest", node=self.node).wire()


@pytest.fixture
def site() -> Site:
    node = world.make_node()
    people = [
        identity_for_user(user_create(name, admin=admin))
        for name, admin in (("root", True), ("alice", False), ("bob", False))
    ]
    return Site(node, *people)


def deploy(site: Site, who: Identity, **changes: Any) -> str:
    tree = world.ensemble({"one": world.allocation(**changes)}, metadata={"name": "first", "team": "x"})
    answer = site.ask(who, "new", Ensemble=tree)
    assert answer["Status"] == "OK"
    return str(answer["EnsembleID"])


def test_the_owner_sees_it_and_a_stranger_does_not(site: Site) -> None:
    pk = deploy(site, site.alice)
    assert site.ask(site.alice, "status", ID=pk) == {"Status": "Preparing", "Error": ""}
    assert site.ask(site.admin, "status", ID=pk)["Status"] == "Preparing"
    assert site.ask(site.alice, "list") == {"Deployments": {pk: "Preparing"}, "Total": 1}
    assert site.ask(site.bob, "list") == {"Deployments": {}, "Total": 0}
    for verb in ("status", "manifest", "info", "shutdown"):
        with pytest.raises(Refusal) as refused:
            site.ask(site.bob, verb, ID=pk)
        assert (refused.value.code, refused.value.status) == ("not_found", 404)
    with pytest.raises(Refusal) as refused:
        site.ask(site.bob, "logs", EnsembleID=pk)
    assert refused.value.status == 404


def test_spellings_of_the_reference_are_accepted(site: Site) -> None:
    pk = deploy(site, site.alice)
    assert site.ask(site.alice, "status", id=pk)["Status"] == "Preparing"
    assert site.ask(site.alice, "list", limit=1, sort_by="name")["Total"] == 1


def test_a_deployment_is_found_by_prefix_and_by_name(site: Site) -> None:
    pk = deploy(site, site.alice)
    for key in (pk, pk[:8], "first"):
        assert site.ask(site.alice, "info", ID=key)["ID"] == pk
    deploy(site, site.alice)
    with pytest.raises(Refusal):
        site.ask(site.alice, "info", ID="first")


def test_the_list_is_filtered_sorted_and_paged(site: Site) -> None:
    ids = [deploy(site, site.alice) for _ in range(3)]
    Deployment.objects.filter(pk=ids[0]).update(status=states.FAILED)
    assert site.ask(site.alice, "list", Status=["Failed"]) == {"Deployments": {ids[0]: "Failed"}, "Total": 1}
    page = site.ask(site.alice, "list", Limit=1, Offset=1, SortBy="created_at")
    assert (list(page["Deployments"]), page["Total"]) == ([ids[1]], 3)
    assert site.ask(site.alice, "list", Metadata={"team": "x"})["Total"] == 3
    assert site.ask(site.alice, "list", Metadata={"team": "y"})["Total"] == 0
    assert site.ask(site.alice, "list", Metadata={"team__regex": ".*"})["Total"] == 0
    assert site.ask(site.alice, "list", CreatedAfter="2999-01-01T00:00:00Z")["Total"] == 0
    for bad in ({"SortBy": "owner"}, {"Status": ["Generating"]}, {"CreatedAfter": "yesterday"}):
        with pytest.raises(Refusal) as refused:
            site.ask(site.alice, "list", **bad)
        assert refused.value.code == "invalid_request"
        assert refused.value.hint


def test_the_manifest_names_everything(site: Site) -> None:
    pk = deploy(site, site.alice)
    deployment_advance(pk)
    manifest = site.ask(site.alice, "manifest", ID=pk)["Manifest"]
    assert manifest["id"] == pk
    assert manifest["orchestrator"]["did"]["uri"] == site.node.identity.did
    entry = manifest["allocations"]["here.one"]
    assert (entry["dns_name"], entry["status"], entry["node_id"]) == ("one.internal", "pending", "here")
    assert manifest["nodes"]["here"]["peer"] == site.node.peer_id
    assert manifest["metadata"] == {"name": "first", "team": "x"}


def test_shutdown_works_before_anything_runs_and_is_refused_at_the_end(site: Site) -> None:
    pk = deploy(site, site.alice)
    assert site.ask(site.alice, "shutdown", ID=pk) == {"OK": True, "Error": ""}
    assert deployment_advance(pk) == states.COMPLETED
    with pytest.raises(Refusal) as refused:
        site.ask(site.alice, "shutdown", ID=pk)
    assert (refused.value.code, refused.value.status) == ("deployment_not_running", 409)
    paths = AuditEntry.objects.filter(path__endswith="/shutdown").values_list("outcome", flat=True)
    assert sorted(paths) == ["allowed", "refused"]


def test_an_invalid_ensemble_names_each_error_and_an_open_placeholder(site: Site) -> None:
    with pytest.raises(Refusal) as refused:
        site.ask(site.alice, "new", Ensemble="allocations:\n  a:\n    typ: task\n")
    document = refused.value.problem()
    assert document["status"] == 422
    assert all(error["message"].startswith("line ") for error in document["errors"])
    assert "allocations.a.type" in {error["path"] for error in document["errors"]}
    with pytest.raises(Refusal) as open_mark:
        site.ask(site.alice, "new", Ensemble=world.ensemble({"a": world.allocation(dns_name="${env:HOME}")}))
    assert "placeholder" in str(open_mark.value.problem()).lower()


def test_an_unknown_allocation_is_answered_with_the_known_ones(site: Site) -> None:
    pk = deploy(site, site.alice)
    deployment_advance(pk)
    with pytest.raises(Refusal) as refused:
        site.ask(site.alice, "logs", EnsembleID=pk, AllocationName="two")
    assert "here.one" in refused.value.hint


def test_what_is_not_acted_on_is_said(site: Site) -> None:
    tree = world.ensemble({"one": world.allocation(failure_recovery="one_for_one")})
    tree["nodes"]["here"]["redundancy"] = 1
    pk = site.ask(site.alice, "new", Ensemble=tree)["EnsembleID"]
    events = site.ask(site.alice, "info", ID=pk)["Events"]
    said = [event["text"] for event in events if event["kind"] == "notice"]
    assert [text.split(":")[0] for text in said] == ["nodes.here.redundancy"]
    plain = deploy(site, site.alice)
    assert not [
        event for event in site.ask(site.alice, "info", ID=plain)["Events"] if event["kind"] == "notice"
    ]


class Chatty:
    """A log of a million short lines, each a chunk of its own."""

    LINES = 1_000_000

    def read(self, allocation_id: str, query: LogQuery, **_: Any) -> Iterator[bytes]:
        return (b"%06d\n" % number for number in range(self.LINES))

    def attempts(self, allocation_id: str) -> list[int]:
        return [1]

    def write(self, allocation_id: str) -> str:
        return ""


@pytest.mark.timeout(60)  # a copy of the text for each line would take minutes
def test_a_long_log_is_answered_with_its_newest_part(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside.OUTSIDE, "logs", Chatty())
    answer = site.ask(site.alice, "new", Ensemble=world.ensemble({"one": world.allocation()}))
    deployment_advance(answer["EnsembleID"])
    told = site.ask(site.alice, "logs", EnsembleID=answer["EnsembleID"])
    assert len(told["Stdout"]) == behaviors.LOG_TEXT_BYTES
    assert told["Stdout"].endswith("999998\n999999\n")

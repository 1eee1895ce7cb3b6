"""Draining a node: nothing new is taken, what runs may finish, services may be asked to end, and the end is told."""

from __future__ import annotations

from typing import Any

import pytest

from capabilities.models import Identity
from capabilities.refusal import Refusal
from capabilities.services import identity_for_user
from deployments import states
from deployments.models import Deployment
from deployments.services.advance import deployment_advance
from deployments.services.bidding import needed
from deployments.services.room import room_made
from dmsweb.accounts.services import user_create
from node.door import invoke
from node.models import Node, NodeEvent
from node.presence import node_state
from node.services.ledger import LedgerItem, commit
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db


@pytest.fixture
def node() -> Node:
    return world.make_node()


@pytest.fixture
def root() -> Identity:
    return identity_for_user(user_create("root", admin=True))


def drain(node: Node, who: Identity, **payload: Any) -> dict[str, Any]:
    answer = invoke(identity=who, path="/dms/node/drain", payload=payload, source="rest", node=node).wire()
    node.refresh_from_db()
    return answer


def running(node: Node, owner: Identity, kind: str) -> Deployment:
    deployment = world.submit(node, owner, world.ensemble({"one": world.allocation(kind)}))
    deployment_advance(deployment.pk)
    world.started(deployment.allocations.get())
    assert deployment_advance(deployment.pk) == states.RUNNING
    return deployment


def test_a_draining_node_refuses_with_the_reason_and_finishes_when_nothing_runs(node, root) -> None:
    owner = world.make_owner()
    task = running(node, owner, "task")
    answer = drain(node, root, Reason="a new disk")
    assert (answer["Draining"], answer["Drained"], answer["Allocations"]) == (True, False, 1)
    refused = world.submit(node, owner, world.ensemble({"one": world.allocation()}))
    assert deployment_advance(refused.pk) == states.FAILED
    refused.refresh_from_db()
    assert [reason["check"] for reason in refused.reasons] == ["draining"]
    assert "a new disk" in refused.reason
    room_made(node)
    node.refresh_from_db()
    assert node.drained_at is None
    world.ended(task.allocations.get(), "completed")
    assert deployment_advance(task.pk) == states.COMPLETED
    room_made(node)
    node.refresh_from_db()
    assert node.drained_at is not None
    kinds = list(NodeEvent.objects.filter(node=node).order_by("id").values_list("kind", flat=True))
    assert kinds == ["draining", "drained"]
    drain(node, root, Drain=False)
    assert (node.draining_at, node.drained_at, node.drain_reason) == (None, None, "")
    again = world.submit(node, owner, world.ensemble({"one": world.allocation()}))
    assert deployment_advance(again.pk) == states.PROVISIONING


def test_a_node_on_which_nothing_runs_is_drained_at_once(node, root) -> None:
    assert drain(node, root)["Drained"]
    node.last_seen_at = node.drained_at
    assert node_state(node, node.drained_at) == "drained"


def test_services_are_asked_to_stop_and_tasks_are_not(node, root) -> None:
    owner = world.make_owner()
    service, task = running(node, owner, "service"), running(node, owner, "task")
    assert drain(node, root, Stop=True, Reason="moving")["Stopping"] == 1
    service.refresh_from_db()
    task.refresh_from_db()
    assert (service.stop_wanted, task.stop_wanted) == (True, False)
    assert "moving" in service.events.get(kind="shutdown").text
    assert drain(node, root, Stop=True)["Stopping"] == 0


def test_a_commit_that_was_bid_for_before_is_refused_under_the_lock(node, root) -> None:
    drain(node, root)
    item = LedgerItem("a", needed(_spec()))
    with pytest.raises(Refusal) as refused:
        commit(node, deployment_id="d", owner=root, items=[item], expires_at=node.draining_at)
    assert refused.value.reasons[0].check == "draining"


def _spec() -> Any:
    from deployments.ensemble import parse_document

    tree = world.ensemble({"one": world.allocation()})
    return parse_document({"V1": tree}).required().allocations["one"].resources


def test_only_who_holds_the_capability_drains(node) -> None:
    alice = identity_for_user(user_create("alice"))
    with pytest.raises(Refusal) as refused:
        drain(node, alice)
    assert refused.value.status == 403

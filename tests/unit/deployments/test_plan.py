"""A plan says what deploying does, names every number that fails, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capabilities.models import AuditEntry, Identity
from capabilities.refusal import Refusal
from capabilities.services import identity_for_user
from deployments import states
from deployments.services.advance import deployment_advance
from dmsweb.accounts.services import user_create
from node.door import invoke
from node.models import Node, Onboarding, PortReservation, Reservation
from node.outside import OUTSIDE
from tests.unit.deployments import world
from tests.unit.deployments.world import GIB

pytestmark = pytest.mark.django_db
DOCKER: dict[str, Any] = {"executor": "docker", "execution": {"type": "docker", "image": "x"}}
PLAN = "/dms/node/deployment/plan"


def rows() -> dict[str, list[Any]]:
    """Return every row of the site, but the audit of calls."""
    return {
        model._meta.label: list(model._default_manager.using("default").order_by("pk").values())
        for model in apps.get_models()
        if model is not AuditEntry and getattr(model, "database", "default") == "default"
    }


def sized(cores: float, ram: int = GIB, disk: int = GIB, **more: Any) -> dict[str, Any]:
    resources = {"cpu": {"cores": cores}, "ram": {"size": f"{ram}B"}, "disk": {"size": f"{disk}B"}}
    return world.allocation("service", resources=resources, **more)


def ask(node: Node, who: Identity, tree: dict[str, Any]) -> dict[str, Any]:
    return invoke(identity=who, path=PLAN, payload={"Ensemble": tree}, source="rest", node=node).wire()


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine happens to have free is not the test's business."""
    monkeypatch.setattr(OUTSIDE, "probe", None)


@pytest.fixture
def node() -> Node:
    return world.make_node()


@pytest.fixture
def alice(node: Node) -> Identity:
    return identity_for_user(user_create("alice"))


def test_what_fits_names_its_place_and_ports_and_changes_nothing(node, alice) -> None:
    tree = world.ensemble({"web": sized(0.5, **DOCKER), "db": sized(1, **DOCKER)})
    tree["nodes"]["here"]["ports"] = [
        {"public": 20_000, "private": 80, "allocation": "web"},
        {"public": 0, "private": 81, "allocation": "db"},
    ]
    before = rows()
    answer = ask(node, alice, tree)
    assert rows() == before
    assert answer["placeable"]
    assert answer["reasons"] == []
    (placed,) = answer["placements"]
    assert (placed["subject"], placed["peer"], placed["allocations"]) == ("here", node.name, ["web", "db"])
    assert placed["ports"] == {"static": [20_000], "dynamic": 1}
    assert answer["totals"]["needed"]["cpu_cores"] == 1.5
    assert answer["totals"]["free"]["cpu_cores"] == 2
    assert [item["subject"] for item in answer["allocations"]] == ["here.web", "here.db"]


def test_every_reason_has_its_numbers_and_a_hint(node, alice) -> None:
    PortReservation.objects.create(node=node, port=20_000, allocation_id="other")
    tree = world.ensemble(
        {"big": sized(64, 900 * GIB, executor="docker", execution={"type": "docker", "image": "x"})}
    )
    tree["nodes"]["here"]["ports"] = [{"public": 20_000, "private": 80, "allocation": "big"}]
    tree["nodes"]["here"]["location"] = {"accept": [{"continent": "Europe"}]}
    node.executors["docker"] = {"available": False, "detail": "no engine", "hint": "install one"}
    node.save()
    answer = ask(node, alice, tree)
    assert not answer["placeable"]
    assert not answer["would_queue"]
    assert {item["check"] for item in answer["reasons"]} == {"cpu", "ram", "ports", "executor", "location"}
    for reason in answer["reasons"]:
        assert set(reason) == {"subject", "peer", "check", "message", "path", "needed", "available", "hint"}
        assert reason["subject"] == "here"
        assert reason["peer"] == node.name
        assert all(reason[name] for name in ("needed", "available", "hint")), reason


def test_a_machine_that_offers_nothing_and_one_that_is_not_wanted(node, alice) -> None:
    tree = world.ensemble({"one": sized(0.1)}, exclude_peers=[node.peer_id])
    tree["nodes"]["here"]["location"] = {"reject": [{"continent": "Europe"}]}
    Node.objects.filter(pk=node.pk).update(location={"continent": "Europe"})
    node.refresh_from_db()
    Onboarding.objects.all().delete()
    answer = ask(node, alice, tree)
    assert {item["check"] for item in answer["reasons"]} == {"exclusion", "location", "onboarding"}
    assert all(reason[name] for reason in answer["reasons"] for name in ("needed", "available", "hint"))


def test_what_is_forbidden_and_what_is_invalid(node, alice) -> None:
    evil = sized(0.1, executor="docker", execution={"type": "docker", "image": "x", "privileged": True})
    answer = ask(node, alice, world.ensemble({"evil": evil}))
    assert not answer["placeable"]
    assert not answer["would_queue"]
    assert answer["reasons"][0]["hint"]
    with pytest.raises(Refusal) as invalid:
        ask(node, alice, world.ensemble({"one": world.allocation(type=None)}))
    assert invalid.value.code == "invalid_ensemble"


AMOUNTS = st.tuples(
    st.integers(1, 150), st.integers(1, 6), st.integers(1, 30), st.sampled_from([0, 0, 20_001, 20_002])
)
SHAPES = st.lists(AMOUNTS, min_size=1, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    held=st.lists(AMOUNTS, max_size=2),
    asked=SHAPES,
    split=st.booleans(),
    drained=st.booleans(),
    queue=st.booleans(),
)
def test_plan_and_reality_agree(held, asked, split: bool, drained: bool, queue: bool) -> None:
    node, owner = world.make_node(), world.make_owner()
    for number, (cores, ram, disk, port) in enumerate(held):
        name = f"{node.name}.{number}"
        if sum(item[0] for item in held) > 200 or sum(item[1] for item in held) > 8:
            break
        Reservation.objects.create(
            node=node, owner=owner, deployment_id="other", allocation_id=name, state="allocated",
            cpu_centicores=cores, ram_bytes=ram * GIB, disk_bytes=min(disk, 25) * GIB,
        )  # fmt: skip
        if port and not PortReservation.objects.filter(node=node, port=port).exists():
            PortReservation.objects.create(node=node, port=port, allocation_id=name)
    if drained:
        Node.objects.filter(pk=node.pk).update(draining_at=node.created_at)
    tree: dict[str, Any] = {"allocations": {}, "nodes": {}}
    for number, (cores, ram, disk, port) in enumerate(asked):
        where = tree["nodes"].setdefault(f"n{number if split else 0}", {"allocations": [], "ports": []})
        tree["allocations"][f"a{number}"] = sized(
            cores / 100, ram * GIB, disk * GIB, executor="docker", execution={"type": "docker", "image": "x"}
        )
        where["allocations"].append(f"a{number}")
        where["ports"].append({"public": port, "private": 80, "allocation": f"a{number}"})
    try:
        answer = _planned(node, owner, tree)
    except Refusal as refusal:
        assert refusal.code == "invalid_ensemble"
        return
    deployment = world.submit(node, owner, tree, queue=queue)
    reached = deployment_advance(deployment.pk)
    deployment.refresh_from_db()
    assert answer.placeable == (reached == states.PROVISIONING), (answer.reasons, deployment.reason)
    if answer.placeable:
        return
    assert deployment.reasons == answer.reasons
    assert all(reason[name] for reason in answer.reasons for name in ("needed", "available", "hint"))
    assert (reached == states.PREPARING) == (queue and answer.would_queue)
    assert Onboarding.objects.filter(node=node).exists()


def _planned(node: Node, owner: Identity, tree: dict[str, Any]) -> Any:
    from deployments.plan import plan

    return plan(owner=owner, node=node, ensemble=tree)

"""Quotas: refused at the door and at the commit with every number, whatever waits; read and set through the door."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.models import Identity
from capabilities.refusal import Refusal
from capabilities.services import identity_for_user
from deployments import states
from deployments.models import Deployment
from deployments.plan import plan
from deployments.queueing import Demand
from deployments.quotas import KINDS, UNLIMITED, Amounts, Limits, broken, read_limits
from deployments.services.advance import deployment_advance
from deployments.services.quota import limits_of, quota_set, used_by
from dmsweb.accounts.services import user_create
from node.door import invoke
from node.models import Node
from node.outside import OUTSIDE
from node.resources import Resources
from tests.unit.deployments import world
from tests.unit.deployments.world import GIB

COUNTS = st.integers(0, 40)
AMOUNTS = st.builds(Amounts, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
LIMIT = st.none() | st.integers(-1, 40)
LIMITS = st.builds(Limits, LIMIT, LIMIT, LIMIT, LIMIT, LIMIT, LIMIT)


@given(LIMITS, LIMITS, AMOUNTS, st.lists(AMOUNTS, max_size=8))
def test_what_is_let_in_never_breaks_a_limit(own, everybody, used, wishes) -> None:
    limits = own.over(everybody)
    for wanted in wishes:
        reasons = broken(limits, used, wanted, None)
        if not reasons:
            used += wanted
            for kind in KINDS[:-1]:
                limit = getattr(limits, kind.field)
                assert limit is None or getattr(used, kind.field) <= limit or not getattr(wanted, kind.field)
        for reason in reasons:
            assert all((reason.needed, reason.available, reason.hint))
            assert all(word in reason.message for word in ("used", "wanted", "allowed"))


def test_own_limits_lie_over_everybodys() -> None:
    everybody = Limits(deployments=2, gpus=1)
    assert Limits(deployments=5).over(everybody) == Limits(deployments=5, gpus=1)
    assert Limits(gpus=UNLIMITED).over(everybody) == Limits(deployments=2)
    assert not Limits(deployments=UNLIMITED, gpus=UNLIMITED).over(everybody)


def test_limits_as_people_write_them() -> None:
    values, reasons = read_limits(
        {"cpu_centicores": "1.5", "ram_bytes": "512MiB", "gpus": "unlimited", "deployments": "default"}
    )
    assert (values, reasons) == (
        {"cpu_centicores": 150, "ram_bytes": GIB // 2, "gpus": UNLIMITED, "deployments": None},
        (),
    )
    assert [reason.path for reason in read_limits({"gpus": "-1", "deployments": 1.5, "ram_bytes": "x"})[1]] == [
        "deployments", "ram_bytes", "gpus",
    ]  # fmt: skip


def test_use_as_people_read_it() -> None:
    kinds = {kind.field: kind for kind in KINDS}
    assert kinds["deployments"].of(1, 50) == "1 of 50 deployments"
    assert kinds["cpu_centicores"].of(30, 50) == "0.3 cores of 0.5 cores"
    assert kinds["gpus"].of(0, None) == "0 GPUs, no limit"
    assert kinds["ram_bytes"].of(GIB, UNLIMITED) == "1 GiB, no limit"


def test_a_running_time_beyond_the_limit_is_named() -> None:
    (reason,) = broken(Limits(running_time_s=60), Amounts(), Amounts(1), 61)
    assert reason.check == "quota.running_time"
    assert not broken(Limits(running_time_s=60), Amounts(), Amounts(1), 60)


def test_amounts_of_a_demand() -> None:
    demand = Demand((Resources(50, GIB, 2 * GIB), Resources(100, GIB)))
    assert Amounts.of(demand) == Amounts(1, 150, 2 * GIB, 2 * GIB, 0)


@pytest.fixture
def node(db: None, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(OUTSIDE, "probe", None)
    return world.make_node()


@pytest.fixture
def alice(node: Node) -> Identity:
    return identity_for_user(user_create("alice"))


def small(cores: float = 0.5) -> dict[str, Any]:
    resources = {"cpu": {"cores": cores}, "ram": {"size": "1GiB"}, "disk": {"size": "1GiB"}}
    return world.ensemble({"one": world.allocation(resources=resources)})


def test_the_door_says_which_limit_and_how_much(node, alice) -> None:
    quota_set(alice, {"cpu_centicores": 150, "deployments": 2})
    world.submit(node, alice, small(1))
    with pytest.raises(Refusal) as refused:
        world.submit(node, alice, small(1))
    assert (refused.value.code, refused.value.status) == ("quota_exceeded", 409)
    assert refused.value.detail == "quota of cores: 1 core used, 1 core wanted, 1.5 cores allowed"
    world.submit(node, alice, small(0.5))
    with pytest.raises(Refusal) as both:
        world.submit(node, alice, small())
    assert [reason.check for reason in both.value.reasons] == ["quota.deployments", "quota.cores"]
    bob = world.make_owner("bob")
    world.submit(node, bob, small())


def test_what_waits_counts_and_what_has_ended_does_not(node, alice) -> None:
    quota_set(alice, {"cpu_centicores": 300})
    world.submit(node, alice, small(1.5))
    waits = world.submit(node, alice, small(1.5), queue=True)
    for row in Deployment.objects.order_by("created_at"):
        deployment_advance(row.pk)
    waits.refresh_from_db()
    assert waits.queued_at is not None
    with pytest.raises(Refusal):
        world.submit(node, alice, small(0.1), queue=True)
    Deployment.objects.filter(pk=waits.pk).update(stop_wanted=True)
    assert deployment_advance(waits.pk) == states.COMPLETED
    world.submit(node, alice, small(1.5))


def test_a_limit_that_was_lowered_holds_at_the_commit(node, alice) -> None:
    deployment = world.submit(node, alice, small(1))
    quota_set(alice, {"cpu_centicores": 50})
    assert deployment_advance(deployment.pk) == states.FAILED
    deployment.refresh_from_db()
    assert "quota of cores: 0 cores used, 1 core wanted, 0.5 cores allowed" in deployment.reason
    assert deployment.reasons[0]["check"] == "quota.cores"


def test_a_plan_knows_the_quota(node, alice) -> None:
    quota_set(None, {"cpu_centicores": 10})
    made = plan(owner=alice, node=node, ensemble=small())
    assert not made.placeable
    assert not made.would_queue
    assert [reason["check"] for reason in made.reasons] == ["quota.cores"]


def test_deployments_from_before_count_by_their_ensemble(node, alice) -> None:
    world.submit(node, alice, small(1))
    Deployment.objects.update(demand={})
    assert used_by([alice])[alice.pk].cpu_centicores == 100


def test_the_quota_of_running_time_bounds_what_names_none(node, alice) -> None:
    quota_set(alice, {"running_time_s": 60})
    bounded = world.submit(node, alice, small())
    assert bounded.ensemble["V1"]["max_runtime"] == 60 * 10**9
    assert bounded.events.filter(kind="notice", text__contains="60 s").exists()
    shorter = world.submit(node, alice, small() | {"max_runtime": "10s"})
    assert shorter.ensemble["V1"]["max_runtime"] == 10 * 10**9
    with pytest.raises(Refusal) as refused:
        world.submit(node, alice, small() | {"max_runtime": "2m"})
    assert refused.value.reasons[0].check == "quota.running_time"
    assert not plan(owner=alice, node=node, ensemble=small() | {"max_runtime": "2m"}).placeable


def ask(node: Node, who: Identity, verb: str, **payload: Any) -> dict[str, Any]:
    path = f"/dms/node/quota/{verb}"
    return invoke(identity=who, path=path, payload=payload, source="rest", node=node).wire()


def test_an_administrator_sets_them_and_everybody_sees_her_own(node, alice) -> None:
    root = identity_for_user(user_create("root", admin=True))
    ask(node, root, "set", Deployments=3, GPUs=0)
    assert ask(node, root, "set", Identity="alice", Cores="1.5", GPUs="unlimited")["Own"]["gpus"] == UNLIMITED
    world.submit(node, alice, small(0.5))
    own = ask(node, alice, "get")
    limits = {name: value for name, value in own["Limits"].items() if value is not None}
    assert limits == {"deployments": 3, "cpu_centicores": 150}
    assert own["Used"]["cpu_centicores"] == 50
    listed = ask(node, root, "list")
    assert listed["Everybody"]["gpus"] == 0
    assert {item["Name"] for item in listed["Quotas"]} == {"root", "alice"}
    ask(node, root, "set", Identity="alice", Cores="default")
    assert limits_of(alice)[0].cpu_centicores is None
    for verb, payload in (("set", {"Cores": 9}), ("list", {}), ("get", {"Identity": "root"})):
        with pytest.raises(Refusal) as refused:
            ask(node, alice, verb, **payload)
        assert refused.value.status in {403, 404}
    with pytest.raises(Refusal) as bad:
        ask(node, root, "set", Cores="many")
    assert bad.value.reasons[0].path == "cpu_centicores"

"""Onboarding, resources and hardware as behaviors: the reference's names, on rows."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.retention import sweep
from node.models import Node, NodeEvent, Onboarding, UsageSample
from node.outside import OUTSIDE
from node.registry import REGISTRY, Call
from node.resources import Resources
from node.selectors import latest_sample, local_node
from node.services import ledger, machine
from node.services.ledger import LedgerItem
from tests.unit.node.machines import GIB, StillProbe, make_node, usage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch) -> StillProbe:
    still = StillProbe()
    monkeypatch.setattr(OUTSIDE, "probe", still)
    return still


@pytest.fixture
def node() -> Node:
    return make_node(onboard=False)


def invoke(node: Node, path: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    entry = REGISTRY.get(path)
    assert entry is not None
    call = Call(invoker=node.identity, node=node, now=timezone.now())
    return entry.handler(call, entry.request.model_validate(payload or {})).wire()


def onboard(node: Node, cpu: Any = 2, ram: Any = "4GiB", disk: Any = 20, **more: Any) -> dict[str, Any]:
    config = {"onboarded_resources": {"cpu": {"cores": cpu}, "ram": {"size": ram}, "disk": {"size": disk}}}
    return invoke(node, "/dms/node/onboarding/onboard", {"NoGPU": True, "Config": config, **more})


def commit(node: Node, resources: Resources) -> None:
    ledger.commit(
        node,
        deployment_id="d1",
        owner=node.identity,
        items=[LedgerItem("a", resources)],
        expires_at=timezone.now() + timedelta(minutes=5),
    )


def test_onboard_answers_what_is_offered_and_writes_a_line(node: Node) -> None:
    answer = onboard(node)
    assert answer["success"] is True
    offered = answer["config"]["onboarded_resources"]
    assert (offered["cpu"]["cores"], offered["ram"]["size"], offered["disk"]["size"]) == (
        2,
        4 * GIB,
        20 * GIB,
    )
    assert invoke(node, "/dms/node/onboarding/status") == {"onboarded": True}
    assert NodeEvent.objects.get(kind="onboarding").text.startswith("onboarded 2 cores, 4 GiB of memory")


def test_plain_members_do_the_same(node: Node) -> None:
    answer = invoke(
        node, "/dms/node/onboarding/onboard", {"cpu": 1, "ram": 4, "disk": "10GiB", "GPUs": "0:8"}
    )
    assert answer["config"]["onboarded_resources"]["gpus"][0]["vram"] == 8 * GIB


def test_onboarding_again_changes_what_is_offered(node: Node) -> None:
    onboard(node)
    commit(node, Resources(150, GIB, GIB))
    assert onboard(node, cpu=3, ram=6)["config"]["onboarded_resources"]["cpu"]["cores"] == 3
    with pytest.raises(Refusal, match="Demand too high"):
        onboard(node, cpu=1)
    assert Onboarding.objects.get().cpu_centicores == 300


def test_memory_our_own_work_uses_can_stay_offered(node: Node, probe: StillProbe) -> None:
    onboard(node, ram=10)
    commit(node, Resources(100, 8 * GIB, GIB))
    ledger.allocate("a")
    probe.now = usage(ram_used_bytes=10 * GIB)
    assert onboard(node, ram=11)["success"] is True


def test_offboard_refuses_while_work_runs_and_lists_it(node: Node) -> None:
    onboard(node)
    commit(node, Resources(100, GIB, GIB))
    with pytest.raises(Refusal, match="1 allocations hold resources of this machine: a") as caught:
        invoke(node, "/dms/node/onboarding/offboard")
    assert caught.value.reasons[0].hint == "./dms shutdown d1"
    ledger.release(["a"])
    assert invoke(node, "/dms/node/onboarding/offboard") == {"success": True}
    with pytest.raises(Refusal, match="machine is not onboarded"):
        invoke(node, "/dms/node/onboarding/offboard")


def test_resources_add_up(node: Node) -> None:
    onboard(node)
    commit(node, Resources(50, GIB, GIB))
    onboarded = invoke(node, "/dms/node/resources/onboarded")
    assert onboarded["OK"] is True
    assert onboarded["Resources"]["cpu"]["architecture"] == "amd64"
    assert invoke(node, "/dms/node/resources/free")["Resources"]["cpu"]["cores"] == 1.5
    assert invoke(node, "/dms/node/resources/allocated")["Resources"]["cpu"]["cores"] == 0
    ledger.allocate("a")
    assert invoke(node, "/dms/node/resources/allocated")["Resources"]["ram"]["size"] == GIB


def test_a_machine_that_offers_nothing_says_so(node: Node) -> None:
    for name in ("free", "onboarded"):
        with pytest.raises(Refusal, match="machine is not onboarded"):
            invoke(node, f"/dms/node/resources/{name}")


def test_hardware_is_what_the_probe_measures(node: Node, probe: StillProbe) -> None:
    probe.now = usage(cpu_percent=25.0, ram_used_bytes=3 * GIB)
    spec = invoke(node, "/dms/node/hardware/spec")["Resources"]
    assert (spec["cpu"]["cores"], spec["ram"]["size"], spec["gpus"][0]["uuid"]) == (4, 16 * GIB, "GPU-a")
    used = invoke(node, "/dms/node/hardware/usage")["Resources"]
    assert (used["cpu"]["cores"], used["ram"]["size"], used["gpus"]) == (1, 3 * GIB, [])


def test_a_process_that_cannot_measure_says_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OUTSIDE, "probe", None)
    with pytest.raises(Refusal, match="cannot look at the machine"):
        invoke(node, "/dms/node/hardware/usage")


@pytest.mark.django_db(databases=["default", "nonces"])
def test_facts_and_samples_are_kept_and_forgotten(node: Node, probe: StillProbe) -> None:
    Node.objects.filter(pk=node.pk).update(hardware={})
    machine.record_facts(node)
    machine.record_sample(node)
    node.refresh_from_db()
    assert node.hostname == "box"
    assert node.last_seen_at is not None
    sample = latest_sample(node)
    assert sample is not None
    assert sample.ram_used_bytes == GIB
    assert sweep(timezone.now()) == {}
    later = timezone.now() + timedelta(seconds=NUMBERS.usage_retention_s + 1)
    assert sweep(later) == {"node.UsageSample": 1}
    assert not UsageSample.objects.exists()


def test_a_change_of_hardware_is_a_line_of_the_timeline(node: Node) -> None:
    machine.record_facts(node)
    assert not NodeEvent.objects.exists()
    Node.objects.filter(pk=node.pk).update(hardware={"cpu": {"cores": 1}})
    machine.record_facts(node)
    assert NodeEvent.objects.get().kind == "hardware"


def test_the_local_node_is_the_named_one_or_the_first(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_node("other", onboard=False)
    assert local_node() == node
    monkeypatch.setenv("DMS_NODE", "other")
    assert local_node() == other
    monkeypatch.setenv("DMS_NODE_ID", str(node.pk))
    assert local_node() == node
    monkeypatch.delenv("DMS_NODE_ID")
    monkeypatch.setenv("DMS_NODE", "nobody")
    with pytest.raises(Refusal, match="node nobody not found"):
        local_node()

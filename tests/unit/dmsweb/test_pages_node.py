"""The pages of nodes: what the machine is, offers, holds, used and did; onboarding with every error at its field."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from capabilities.models import AuditEntry
from node.models import ForeignContainer, NodeEvent, Onboarding, PortReservation, Reservation, UsageSample
from node.outside import OUTSIDE
from node.presence import node_state
from node.services.foreign import foreign_record
from tests.unit.deployments.world import GIB


class Machine:
    """A machine with 4 cores, 16 GiB and 100 GiB of disk on which nothing happens."""

    def hardware(self):
        return {"cpu": {"cores": 4}, "ram": {"size": 16 * GIB}, "disk": {"size": 100 * GIB}, "gpus": []}

    def usage(self):
        return {
            "cpu": {"percent": 0.0, "cores": 4},
            "ram": {"size": 16 * GIB, "used": GIB},
            "disk": {"size": 100 * GIB, "used": GIB, "free": 99 * GIB},
            "gpus": [],
        }

    def port_busy(self, port):
        return False


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(OUTSIDE, "probe", Machine())


def test_the_node_page_shows_ledger_ports_and_events(people):
    Reservation.objects.create(
        node=people.node, owner=people.identity("bob"), deployment_id="d" * 64, allocation_id=f"{'d' * 64}_here.hello",
        state="allocated", cpu_centicores=50, ram_bytes=GIB, disk_bytes=GIB,
    )  # fmt: skip
    PortReservation.objects.create(node=people.node, port=20_000, allocation_id=f"{'d' * 64}_here.hello")
    NodeEvent.objects.create(node=people.node, kind="onboarded", text="2 cores onboarded")
    path = f"/nodes/{people.node.pk}/"
    for name in ("alice", "bob"):
        page = people.client(name).get(path).content.decode()
        assert "here.hello" in page
        assert "20000" in page
        assert "2 cores onboarded" in page
        assert "0.5 of 2 cores allocated" in page
    stranger = people.client("charlie").get(path).content.decode()
    assert "here.hello" not in stranger
    assert "20000" not in stranger


def test_a_page_before_the_first_measurement_teaches(people):
    people.node.hardware, people.node.last_seen_at = {}, None
    people.node.save()
    Onboarding.objects.all().delete()
    page = people.client("alice").get(f"/nodes/{people.node.pk}/").content.decode()
    assert "offers nothing yet" in page
    assert "./dms onboard" in page
    assert people.client("alice").get(f"/nodes/{people.node.pk}/onboard/").status_code == 200


def test_states_of_a_node(people):
    now = timezone.now()
    people.node.last_seen_at = now
    assert node_state(people.node, now) == "ready"
    assert node_state(people.node, now + timedelta(hours=1)) == "gone"
    assert node_state(None) == "unknown"
    Onboarding.objects.all().delete()
    people.node.refresh_from_db()
    assert node_state(people.node, now) == "not onboarded"


def test_samples_are_series_in_percent(people):
    now = timezone.now()
    UsageSample.objects.bulk_create(
        UsageSample(
            node=people.node, at=now - timedelta(seconds=10 * number), cpu_percent=12.5, ram_used_bytes=4 * GIB,
            disk_used_bytes=50 * GIB,
        )
        for number in range(100)
    )  # fmt: skip
    path = f"/nodes/{people.node.pk}/samples/"
    answer = people.client("bob").get(path).json()
    assert len(answer["at"]) == 100
    assert answer["at"] == sorted(answer["at"])
    assert {line["name"]: line["values"][0] for line in answer["series"]} == {
        "CPU": 12.5,
        "Memory": 25.0,
        "Disk": 50.0,
    }
    few = people.client("bob").get(f"{path}?series=CPU&window=day").json()
    assert [line["name"] for line in few["series"]] == ["CPU"]


def test_long_series_are_thinned(people):
    now = timezone.now()
    UsageSample.objects.bulk_create(
        UsageSample(
            node=people.node,
            at=now - timedelta(minutes=number),
            cpu_percent=1,
            ram_used_bytes=1,
            disk_used_bytes=1,
        )
        for number in range(1000)
    )
    answer = people.client("bob").get(f"/nodes/{people.node.pk}/samples/?window=day").json()
    assert 250 <= len(answer["at"]) <= 360


def test_onboarding_goes_through_the_door(people, machine):
    path = f"/nodes/{people.node.pk}/onboard/"
    answer = people.client("alice").post(path, {"cpu": "1.5", "ram": "4", "disk": "20"})
    assert answer.status_code == 302, answer.context["form"].errors
    offered = Onboarding.objects.get()
    assert (offered.cpu_centicores, offered.ram_bytes, offered.disk_bytes) == (150, 4 * GIB, 20 * GIB)
    assert AuditEntry.objects.filter(
        path="/dms/node/onboarding/onboard", outcome="allowed", source="web"
    ).exists()


def test_every_error_stands_at_its_field(people, machine):
    path = f"/nodes/{people.node.pk}/onboard/"
    answer = people.client("alice").post(path, {"cpu": "99", "ram": "900", "disk": "5000"})
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert {"cpu", "ram", "disk"} <= set(errors)
    assert answer.content.decode().count("field-error") >= 3
    missing = people.client("alice").post(path, {"cpu": "x"})
    assert {"cpu", "ram", "disk"} <= set(missing.context["form"].errors)
    assert Onboarding.objects.get().cpu_centicores == 200


def test_offboarding_is_refused_with_the_reason_while_work_holds_resources(people, machine):
    Reservation.objects.create(
        node=people.node, owner=people.identity("bob"), deployment_id="d" * 64, allocation_id="a", state="allocated",
        cpu_centicores=50, ram_bytes=GIB, disk_bytes=GIB,
    )  # fmt: skip
    client, path = people.client("alice"), f"/nodes/{people.node.pk}/offboard/"
    refused = client.post(path, follow=True)
    assert Onboarding.objects.exists()
    assert b"alert-error" in refused.content
    Reservation.objects.all().delete()
    client.post(path)
    assert not Onboarding.objects.exists()


def test_what_else_runs_is_shown_to_administrators_and_counted_for_everybody(people):
    row = ForeignContainer(
        container_id="c" * 64, name="their-database", state="running", ram_used_bytes=1 << 30
    )
    stopped = ForeignContainer(container_id="d" * 64, name="their-old-one", state="exited")
    foreign_record(people.node, "docker", [row, stopped], timezone.now())
    UsageSample.objects.create(
        node=people.node, cpu_percent=1.0, ram_used_bytes=3 << 30, disk_used_bytes=0, at=timezone.now()
    )
    path = f"/nodes/{people.node.pk}/"
    for_alice = people.client("alice").get(path).content.decode()
    assert "their-database" in for_alice
    assert "1 running, 1 stopped" in for_alice
    for_bob = people.client("bob").get(path).content.decode()
    assert "their-database" not in for_bob
    assert "1 running, 1 stopped" in for_bob
    assert "1 GiB</span> in these containers" in for_bob
    assert "2 GiB</span> by the system" in for_bob
    assert people.client("alice").get(f"/api/v1/nodes/{people.node.pk}/foreign/").json()["total"] == 2
    assert people.client("bob").get(f"/api/v1/nodes/{people.node.pk}/foreign/").json()["total"] == 0

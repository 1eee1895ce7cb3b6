"""The node's page and form of figures, price and preferences."""

from __future__ import annotations

import pytest
from django.utils import timezone

from node.benchmarks import VERSION, hardware_hash
from node.models import BenchmarkRun, Node

pytestmark = pytest.mark.django_db

FORM = {
    "price": "0.50 EUR",
    "continent": "Europe",
    "country": "DE",
    "executors": "docker, process",
    "owner_share": "50",
    "min_price": "0.10 EUR",
    "deny": "did:key:zbad",
    "zone": "Europe/Berlin",
    "hours": "mon-wed,fri 8:00-18:00\nsat-sun 22:00-06:00",
}


def test_figures_are_shown_to_all_and_wishes_to_who_may_set_them(people):
    node = people.node
    node.preferences = {"owners": {"allow": [], "deny": ["did:key:zbad"]}, "owner_share": 50.0}
    node.price = {"amount": "0.50", "currency": "EUR"}
    node.save()
    results = {"memory": {"value": 2 << 30, "unit": "bytes/s", "method": "sysbench 1.0.20"}}
    BenchmarkRun.objects.create(
        node=node,
        status="done",
        results=results,
        version=VERSION,
        hardware=hardware_hash(node.hardware),
        ended_at=timezone.now(),
    )
    path = f"/nodes/{node.pk}/"
    for_alice = people.client("alice").get(path).content.decode()
    assert "2.00 GiB/s" in for_alice
    assert "0 allowed, 1 denied" in for_alice
    for_bob = people.client("bob").get(path).content.decode()
    assert "0.50 EUR for an hour" in for_bob
    assert "sysbench 1.0.20" in for_bob
    assert "denied" not in for_bob
    assert people.client("bob").get(f"{path}capability/").status_code == 403
    assert people.client("bob").get(f"/api/v1{path}benchmarks/").json()["total"] == 1


def test_measuring_is_asked_for_at_the_door(people):
    path = f"/nodes/{people.node.pk}/"
    people.client("alice").post(f"{path}benchmark/")
    assert BenchmarkRun.objects.get().status == "wanted"
    assert "Measuring" in people.client("alice").get(path).content.decode()


def test_the_form_sets_everything_and_shows_it_again(people):
    path = f"/nodes/{people.node.pk}/capability/"
    answer = people.client("alice").post(path, FORM)
    assert answer.status_code == 302, answer.context["form"].errors
    node = Node.objects.get(pk=people.node.pk)
    assert (node.price, node.location["country"]) == ({"amount": "0.50", "currency": "EUR"}, "DE")
    assert node.preferences["opening_hours"]["open"] == [
        {"days": ["mon", "tue", "wed", "fri"], "from": "08:00", "to": "18:00"},
        {"days": ["sat", "sun"], "from": "22:00", "to": "06:00"},
    ]
    assert node.preferences["owner_share"] == 50.0
    shown = people.client("alice").get(path).content.decode()
    assert "mon,tue,wed,fri 08:00-18:00" in shown
    assert people.client("alice").post(path, {}).status_code == 302
    node.refresh_from_db()
    assert (node.price, node.location, node.preferences) == ({}, {}, {})


def test_every_fault_stands_at_its_field(people):
    wrong = {
        "price": "dear",
        "owner_share": "500",
        "allow": "alice",
        "zone": "Mars",
        "hours": "mon 08:00-18:00",
    }
    answer = people.client("alice").post(f"/nodes/{people.node.pk}/capability/", wrong)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"price", "owner_share", "allow", "hours"}
    unread = people.client("alice").post(f"/nodes/{people.node.pk}/capability/", {"hours": "always"})
    assert set(unread.context["form"].errors) == {"hours"}

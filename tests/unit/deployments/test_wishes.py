"""The node's preferences take part in bidding: a deployment fails with their reasons, and a plan says the same."""

from __future__ import annotations

import pytest

from deployments.models import Bid
from deployments.plan import plan
from deployments.services.advance import deployment_advance
from tests.unit.deployments.world import allocation, ensemble, make_node, make_owner, submit

pytestmark = pytest.mark.django_db


def test_an_unwanted_deployment_says_every_reason() -> None:
    node, owner = make_node(), make_owner()
    node.preferences = {
        "executors": ["docker"],
        "owner_share": 10.0,
        "min_price": {"amount": "1", "currency": "EUR"},
        "owners": {"allow": [], "deny": [owner.did]},
    }
    node.save()
    tree = ensemble({"one": allocation()}, metadata={"price": "0.5 EUR"})
    expected = {f"preferences.{name}" for name in ("executors", "owner_share", "min_price", "owners")}
    assert {line["check"] for line in plan(owner=owner, node=node, ensemble=tree).reasons} == expected
    deployment = submit(node, owner, tree)
    deployment_advance(deployment.pk)
    (bid,) = Bid.objects.filter(request__deployment=deployment, request__round=1)
    assert {line["check"] for line in bid.reasons} == expected
    price = next(line for line in bid.reasons if line["check"] == "preferences.min_price")
    assert (price["needed"], price["available"]) == ("1 EUR", "0.5 EUR")


def test_what_is_wanted_is_placed() -> None:
    node, owner = make_node(), make_owner()
    node.preferences = {
        "executors": ["process"],
        "owner_share": 60.0,
        "min_price": {"amount": "1", "currency": "EUR"},
        "owners": {"allow": [owner.did], "deny": []},
    }
    node.save()
    tree = ensemble({"one": allocation()}, metadata={"price": "1.00 EUR"})
    assert plan(owner=owner, node=node, ensemble=tree).placeable

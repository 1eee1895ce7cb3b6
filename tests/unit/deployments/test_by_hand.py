"""One allocation restarted or stopped by its owner, and by nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from capabilities.models import Identity
from capabilities.refusal import Refusal
from deployments import states
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance
from node.door import invoke
from node.models import Reservation
from tests.unit.deployments import world
from tests.unit.deployments.test_behaviors import Site, deploy, site

__all__ = ["site"]
pytestmark = pytest.mark.django_db


def ask(site: Site, who: Identity, verb: str, pk: str) -> dict[str, Any]:
    path = f"/dms/node/allocation/{verb}"
    payload = {"ID": pk, "AllocationName": "one"}
    return invoke(identity=who, path=path, payload=payload, source="rest", node=site.node).wire()


def running(site: Site) -> Allocation:
    pk = deploy(site, site.alice, type="service")
    deployment_advance(pk)
    row = Allocation.objects.get(deployment=pk)
    world.started(row)
    assert deployment_advance(pk) == states.RUNNING
    return row


def test_a_restart_is_a_new_attempt_and_no_failure(site: Site) -> None:
    row = running(site)
    assert ask(site, site.alice, "restart", row.deployment_id)["OK"]
    row.refresh_from_db()
    assert row.stop_wanted
    world.ended(row, "stopped", None)
    row.refresh_from_db()
    assert (row.status, row.attempt, row.stop_wanted) == ("pending", 2, False)
    assert Reservation.objects.get().state == Reservation.State.ALLOCATED
    second = row.attempts.get(number=2)
    assert second.why == "asked for by alice"
    assert second.scope is None


def test_a_stop_is_for_good_and_a_restart_that_waits_is_given_up(site: Site) -> None:
    row = running(site)
    ask(site, site.alice, "restart", row.deployment_id)
    ask(site, site.alice, "stop", row.deployment_id)
    world.ended(row, "stopped", None)
    row.refresh_from_db()
    assert row.status == "terminated"
    assert not Reservation.objects.exists()
    assert deployment_advance(row.deployment_id) == states.COMPLETED
    with pytest.raises(Refusal) as refused:
        ask(site, site.alice, "restart", row.deployment_id)
    assert refused.value.code == "deployment_not_running"


def test_a_stranger_finds_nothing(site: Site) -> None:
    row = running(site)
    with pytest.raises(Refusal) as refused:
        ask(site, site.bob, "stop", row.deployment_id)
    assert refused.value.code == "not_found"
    row.refresh_from_db()
    assert not row.stop_wanted
    assert Deployment.objects.get().status == states.RUNNING

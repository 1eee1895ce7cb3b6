"""The admin: every model is there, rows with invariants cannot be changed, actions go through the door."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from capabilities.models import AuditEntry
from deployments.models import Deployment
from deployments.services.advance import deployment_advance
from dmsweb.accounts.models import ApiToken
from dmsweb.accounts.tokens import token_create
from node.models import Node, Reservation
from tests.unit.deployments import world
from tests.unit.deployments.world import GIB

OURS = ("accounts", "capabilities", "node", "deployments", "workers", "pages")
MODELS = [model for label in OURS for model in apps.get_app_config(label).get_models()]
EDITABLE = {"User", "Node"}


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_is_in_the_admin(model, people):
    assert model in admin.site._registry
    people.deploy("bob")
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    client = people.client("alice")
    assert client.get(reverse(f"{name}_changelist")).status_code == 200
    assert client.get(reverse(f"{name}_add")).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        assert client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
        assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        if model.__name__ not in EDITABLE:
            assert client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403


def test_the_admin_is_for_staff(people):
    assert people.client("bob").get("/admin/").status_code == 302


def test_shut_down_invokes_the_behavior(people):
    deployment = people.deploy("bob")
    data = {"action": "shut_down", "_selected_action": [deployment.pk]}
    people.client("alice").post(reverse("admin:deployments_deployment_changelist"), data)
    deployment.refresh_from_db()
    assert deployment.stop_wanted or deployment.status in {"ShuttingDown", "Completed", "Failed"}
    entry = AuditEntry.objects.get(path="/dms/node/deployment/shutdown")
    assert (entry.source, entry.actor, entry.outcome) == ("admin", people.identity("alice").did, "allowed")


@pytest.mark.parametrize(("action", "why"), [("restart", "alice"), ("stop", "")])
def test_allocations_are_controlled_through_the_door(people, action, why):
    deployment = people.deploy("bob")
    deployment_advance(deployment.pk)
    row = deployment.allocations.get()
    world.started(row)
    deployment_advance(deployment.pk)
    data = {"action": action, "_selected_action": [row.pk]}
    answer = people.client("alice").post(
        reverse("admin:deployments_allocation_changelist"), data, follow=True
    )
    row.refresh_from_db()
    assert row.stop_wanted
    assert why in row.restart_why
    assert bool(row.restart_why) is bool(why)
    assert f"Allocation {row} of {deployment.pk[:8]} is " in answer.content.decode()
    entry = AuditEntry.objects.get(path=f"/dms/node/allocation/{action}")
    assert (entry.source, entry.actor, entry.outcome) == ("admin", people.identity("alice").did, "allowed")
    # What has ended is refused, and the person reads why.
    world.ended(row, "stopped")
    Deployment.objects.filter(pk=deployment.pk).update(status="Completed")
    again = people.client("alice").post(reverse("admin:deployments_allocation_changelist"), data, follow=True)
    assert '<li class="error">Allocation here.hello' in again.content.decode()


def test_release_shuts_the_holder_down(people):
    deployment = people.deploy("bob")
    line = Reservation.objects.create(
        node=people.node, owner=deployment.owner, deployment_id=deployment.pk,
        allocation_id=f"{deployment.pk}_here.hello",
        cpu_centicores=50, ram_bytes=GIB, disk_bytes=GIB,
    )  # fmt: skip
    data = {"action": "release", "_selected_action": [line.pk]}
    people.client("alice").post(reverse("admin:node_reservation_changelist"), data)
    assert AuditEntry.objects.filter(path="/dms/node/deployment/shutdown", source="admin").count() == 1


def test_a_token_is_revoked(people):
    token_create(people.bob, "laptop")
    row = ApiToken.objects.get()
    data = {"action": "revoke", "_selected_action": [row.pk]}
    people.client("alice").post(reverse("admin:accounts_apitoken_changelist"), data)
    assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_the_owner_sets_allowances_and_it_is_audited(people):
    path = reverse("admin:node_node_change", args=[people.node.pk])
    people.client("alice").post(path, {"location": '{"country": "CH"}', "allowances": '["privileged"]'})
    node = Node.objects.get()
    assert (node.allowances, node.location) == (["privileged"], {"country": "CH"})
    assert node.hardware == people.node.hardware
    assert AuditEntry.objects.filter(path="/dms/node/allowances", source="admin").exists()

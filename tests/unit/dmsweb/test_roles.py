"""Roles: given, changed and taken away, each at once, by nobody who holds less."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from capabilities.models import AuditEntry, Role, RoleHolding, Token
from capabilities.refusal import Refusal
from capabilities.selectors import site_identity
from capabilities.services import authorize, grant, is_root
from dmsweb.accounts.roles import LIFETIME, role_assign, role_of, role_remove, role_set, roles_ensure
from dmsweb.accounts.services import user_create
from dmsweb.celery import app
from node import door
from workers.schedule import BEAT_SCHEDULE

OLD = ("/public", "/dms/node/deployment", "/dms/node/allocation")
NEW = "/dms/node/deployment/new"
STATUS = "/dms/node/deployment/status"
DRAIN = "/dms/node/drain"


def may(people, name, *paths):
    return [authorize(people.identity(name), path).allowed for path in paths]


def test_a_role_counts_at_once_and_the_one_before_it_no_more(people):
    assert role_of(people.identity("bob")) == "deployer"
    assert may(people, "bob", NEW, STATUS, DRAIN) == [True, True, False]
    before = people.bob.identity.holding.token
    role_assign(people.bob, "viewer")
    assert may(people, "bob", NEW, STATUS, DRAIN) == [False, True, False]
    before.refresh_from_db()
    assert before.revoked_at
    role_assign(people.bob, "operator")
    assert may(people, "bob", NEW, STATUS, DRAIN) == [True, True, True]
    assert Token.objects.filter(owner=people.identity("bob"), revoked_at=None).count() == 1


def test_an_administrator_is_a_root_and_the_last_one_stays(people):
    with pytest.raises(Refusal) as caught:
        role_assign(people.alice, "viewer")
    assert caught.value.code == "last_administrator"
    role_assign(people.bob, "admin")
    people.bob.refresh_from_db()
    assert is_root(people.identity("bob"))
    assert people.bob.is_staff
    role_assign(people.alice, "viewer")
    people.alice.refresh_from_db()
    assert not is_root(people.identity("alice"))
    assert not people.alice.is_staff
    assert may(people, "alice", STATUS, NEW) == [True, False]


def test_nobody_gives_or_takes_more_than_she_holds(people):
    role_set("people", ["/dms/user", "/dms/role", "/public"])
    role_assign(people.bob, "people")
    bob = people.identity("bob")
    for role in ("admin", "operator", "deployer"):
        with pytest.raises(Refusal) as caught:
            role_assign(people.charlie, role, by=bob)
        assert caught.value.code == "not_authorized"
        assert caught.value.members["capability"]
    with pytest.raises(Refusal):
        role_set("all", ["/"], by=bob)
    with pytest.raises(Refusal):
        role_assign(people.alice, "people", by=bob)
    assert role_set("less", ["/dms/user/list"], by=bob).capabilities == ["/dms/user/list"]
    with pytest.raises(Refusal) as caught:
        door.invoke(identity=bob, path="/dms/user/disable", payload={"Name": "alice"}, source="rest")
    assert caught.value.code == "not_authorized"


def test_changing_a_role_changes_what_its_holders_may_do(people):
    role_set("on-call", [STATUS])
    role_assign(people.bob, "on-call")
    assert may(people, "bob", STATUS, DRAIN) == [True, False]
    role_set("on-call", [DRAIN])
    assert may(people, "bob", STATUS, DRAIN) == [False, True]
    with pytest.raises(Refusal) as caught:
        role_remove("on-call")
    assert "bob" in caught.value.detail
    role_assign(people.bob, "viewer")
    role_remove("on-call")
    assert not Role.objects.filter(name="on-call").exists()
    for bad in (
        lambda: role_set("viewer", ["/"]),
        lambda: role_remove("viewer"),
        lambda: role_set("A", ["x"]),
    ):
        with pytest.raises(Refusal):
            bad()
    with pytest.raises(Refusal, match="not found"):
        role_assign(people.bob, "nothing")


def test_older_accounts_get_what_this_release_adds_once(people):
    bob = people.identity("bob")
    RoleHolding.objects.filter(identity=bob).delete()
    Token.objects.filter(owner=bob).delete()
    grant(site_identity(), bob.did, OLD, LIFETIME)
    grant(site_identity(), bob.did, ["/dms/node/logger"], LIFETIME)
    assert may(people, "bob", "/dms/token/list") == [False]
    assert roles_ensure() == 1
    assert may(people, "bob", "/dms/token/list", NEW, "/dms/node/logger/status") == [True, True, True]
    assert role_of(bob) == "deployer"
    count = Token.objects.count()
    assert roles_ensure() == 0
    assert Token.objects.count() == count


def test_what_somebody_revoked_stays_revoked(people):
    from capabilities.services import revoke

    revoke(people.bob.identity.holding.token)
    assert roles_ensure() == 0
    assert may(people, "bob", NEW) == [False]


def test_an_operator_sees_what_everybody_runs(people):
    deployment = people.deploy("bob")
    path = f"/deployments/{deployment.pk}/"
    assert people.client("charlie").get(path).status_code == 404
    role_assign(people.charlie, "operator")
    client = people.client("charlie")
    assert client.get(path).status_code == 200
    client.post(f"{path}shutdown/")
    deployment.refresh_from_db()
    assert deployment.stop_wanted


def test_the_doors_to_people_are_audited(people):
    alice = people.identity("alice")

    def ask(path, **payload):
        return door.invoke(identity=alice, path=path, payload=payload, source="rest").wire()

    made = ask("/dms/user/add", Name="dora", Role="viewer")
    assert (made["Role"], made["Active"]) == ("viewer", True)
    assert ask("/dms/user/role", Name="dora", Role="operator")["Role"] == "operator"
    assert ask("/dms/user/disable", Name="dora")["Active"] is False
    assert ask("/dms/user/enable", Name="dora")["Active"] is True
    assert {row["Name"] for row in ask("/dms/user/list")["Users"]} >= {"alice", "dora"}
    ask("/dms/role/set", Name="mine", Capabilities=[STATUS])
    names = [row["Name"] for row in ask("/dms/role/list")["Roles"]]
    assert names[:4] == ["viewer", "deployer", "operator", "admin"]
    assert "mine" in names
    ask("/dms/role/remove", Name="mine")
    paths = set(AuditEntry.objects.values_list("path", flat=True))
    assert {"/dms/user/add", "/dms/user/role", "/dms/user/disable", "/dms/role/set"} <= paths
    with pytest.raises(Refusal) as caught:
        door.invoke(
            identity=people.identity("bob"), path="/dms/user/add", payload={"Name": "x"}, source="rest"
        )
    assert caught.value.members["capability"] == "/dms/user/add"


def test_a_viewer_is_offered_nothing_that_changes(people):
    role_assign(user_create("vera", "correct horse battery"), "viewer")
    from django.test import Client

    from dmsweb.accounts.models import User

    client = Client()
    client.force_login(User.objects.get(username="vera"))
    page = client.get("/").content
    assert b'href="/deployments/new/"' not in page
    answer = client.post(
        "/api/v1/dms/node/deployment/new", {"Ensemble": "x"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["capability"]) == (403, NEW)


def test_a_running_site_renews_the_tokens_of_roles_for_ever(people):
    holding = RoleHolding.objects.get(identity=people.identity("bob"))
    assert holding.token is not None
    half = timezone.now() + LIFETIME / 2 - timedelta(days=1)
    Token.objects.filter(pk=holding.token.pk).update(expires_at=half)
    app.loader.import_default_modules()  # as a worker does
    for _ in range(2):
        app.tasks[BEAT_SCHEDULE["roles"]["task"]]()
    renewed = RoleHolding.objects.get(pk=holding.pk)
    assert renewed.token is not None
    assert renewed.token.pk != holding.token.pk
    assert renewed.token.expires_at > half
    assert Token.objects.filter(owner=people.identity("bob"), revoked_at=None).count() == 1

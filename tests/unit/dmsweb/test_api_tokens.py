"""API tokens: what the person may do and the token covers; refusals say which of the two is missing."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from capabilities.models import AuditEntry
from capabilities.refusal import Refusal
from dmsweb.accounts.models import ApiToken
from dmsweb.accounts.roles import role_assign
from dmsweb.accounts.services import user_switch
from dmsweb.accounts.tokens import token_create, token_revoke

LIST = "/dms/node/deployment/list"
STATUS = "/dms/node/deployment/status"
SHUTDOWN = "/dms/node/deployment/shutdown"
NEW = "/dms/token/new"


def bearer(text):
    return Client(headers={"authorization": f"Bearer {text}"})


def post(client, path, **body):
    return client.post(f"/api/v1{path}", json.dumps(body), content_type="application/json")


def test_a_token_covers_what_was_chosen_and_the_person_holds(people):
    deployment = people.deploy("bob")
    client = bearer(token_create(people.bob, "ci", capabilities=[STATUS, LIST]))
    assert post(client, STATUS, ID=deployment.pk).status_code == 200
    assert client.get("/api/v1/deployments/").json()["total"] == 1
    refused = post(client, SHUTDOWN, ID=deployment.pk)
    assert (refused.status_code, refused.json()["capability"]) == (403, SHUTDOWN)
    assert "API token in use covers only" in refused.json()["detail"]
    for path in ("/allocations/", "/nodes/", "/tokens/", "/audit/", "/grants/"):
        answer = client.get(f"/api/v1{path}")
        assert answer.status_code == 403, path
        assert answer.json()["capability"]
    assert post(client, NEW).status_code == 403
    # The person's role counts as well, at once.
    role_assign(people.bob, "viewer")
    wide = bearer(token_create(people.bob, "all"))
    refused = post(wide, SHUTDOWN, ID=deployment.pk)
    assert (refused.status_code, "API token" in refused.json()["detail"]) == (403, False)
    assert post(client, STATUS, ID=deployment.pk).status_code == 200


def test_a_token_for_one_deployment_knows_no_other(people):
    one, other = people.deploy("bob"), people.deploy("bob")
    client = bearer(token_create(people.bob, "one", deployment=one.pk[:12]))
    assert post(client, STATUS, ID=one.pk).status_code == 200
    assert post(client, STATUS, ID=other.pk).status_code == 404
    assert [row["id"] for row in client.get("/api/v1/deployments/").json()["items"]] == [one.pk]
    assert client.get(f"/api/v1/deployments/{other.pk}/").status_code == 404
    events = client.get("/api/v1/events/").json()["items"]
    assert {row["deployment_id"] for row in events} == {one.pk}
    for path in ("/nodes/", "/reservations/", "/ports/", "/node-events/", "/tokens/"):
        assert client.get(f"/api/v1{path}").status_code == 403, path
    refused = post(client, "/dms/node/deployment/new", Ensemble="x")
    assert (refused.status_code, "alone" in refused.json()["detail"]) == (403, True)
    assert post(client, SHUTDOWN, ID=one.pk).status_code == 200


def test_a_narrowed_token_of_an_administrator_is_no_root(people):
    theirs = people.deploy("bob")
    client = bearer(token_create(people.alice, "ci", capabilities=["/dms/node/deployment"]))
    assert client.get("/api/v1/me/").json()["root"] is False
    assert client.get("/api/v1/deployments/").json()["total"] == 0
    assert post(client, "/dms/node/drain").status_code == 403
    bound = bearer(token_create(people.alice, "bob's", deployment=theirs.pk))
    assert [row["id"] for row in bound.get("/api/v1/deployments/").json()["items"]] == [theirs.pk]
    assert post(bound, "/dms/node/deployment/prune").status_code == 403


def test_no_token_covers_more_than_its_person_or_the_token_it_was_made_with(people):
    with pytest.raises(Refusal) as caught:
        token_create(people.bob, capabilities=["/dms/node/drain"])
    assert caught.value.members["capability"] == "/dms/node/drain"
    for bad in ({"days": 0}, {"days": 4000}, {"capabilities": ["nonsense"]}, {"deployment": "unknown-one"}):
        with pytest.raises(Refusal):
            token_create(people.bob, **bad)
    client = bearer(token_create(people.bob, capabilities=["/dms/token", STATUS], days=2))
    for body in ({}, {"Capabilities": [LIST]}, {"Capabilities": [STATUS], "Days": 30}):
        answer = post(client, NEW, **body)
        assert answer.status_code == 403, body
        assert "made with this one" in answer.json()["detail"]
    made = post(client, NEW, Capabilities=[STATUS], Days=1)
    assert made.status_code == 200
    assert bearer(made.json()["Token"]).get("/api/v1/me/").status_code == 200
    assert post(bearer(token_create(people.bob)), NEW, User="alice").status_code == 403
    assert post(bearer(token_create(people.alice)), NEW, User="bob").status_code == 200


def test_revoked_expired_and_shut_out_are_told_apart(people):
    def answer(text):
        refused = bearer(text).get("/api/v1/me/")
        assert refused.status_code == 401
        assert refused["WWW-Authenticate"]
        return refused.json()["type"].rsplit(":", 1)[1]

    text = token_create(people.bob, "lost")
    token_revoke(people.bob, text[:15])
    assert answer(text) == "token_revoked"
    late = token_create(people.bob, "late")
    ApiToken.objects.filter(token_key=late[:15]).update(expiry=timezone.now() - timedelta(seconds=1))
    assert answer(late) == "token_expired"
    good = token_create(people.bob, "good")
    user_switch(people.bob, active=False)
    assert answer(good) == "account_disabled"
    assert answer("x" * 64) == "not_authenticated"


def test_making_one_over_rest_is_audited_without_its_text(people):
    client = bearer(token_create(people.bob, "first"))
    made = client.post(
        "/api/v1/tokens/", {"name": "ci", "capabilities": [LIST]}, content_type="application/json"
    )
    assert made.status_code == 201
    text = made.json()["token"]
    key = ApiToken.objects.get(name="ci").token_key
    assert client.get("/api/v1/tokens/?search=ci").json()["items"][0]["capabilities"] == [LIST]
    assert client.delete(f"/api/v1/tokens/{key}/").status_code == 204
    assert bearer(text).get("/api/v1/me/").status_code == 401
    entries = AuditEntry.objects.filter(path__startswith="/dms/token/")
    assert [entry.path for entry in entries.order_by("pk")] == [NEW, "/dms/token/revoke"]
    assert all(text not in json.dumps(entry.request) for entry in entries)


def test_the_page_makes_a_narrow_token(people):
    deployment = people.deploy("bob")
    client = people.client("bob")
    assert b"/dms/node/deployment" in client.get("/account/tokens/").content
    made = client.post(
        "/account/tokens/",
        {"name": "ci", "capabilities": f"{STATUS}\r\n{LIST}", "days": "7", "deployment": deployment.pk},
    )
    row = ApiToken.objects.get(name="ci")
    assert (row.capabilities, row.deployment) == ([LIST, STATUS], deployment.pk)
    assert (row.expiry - timezone.now()).days in (6, 7)
    assert made.context["made"]
    assert STATUS.encode() in client.get("/account/tokens/").content
    refused = client.post("/account/tokens/", {"name": "big", "capabilities": "/dms/node/drain"})
    assert refused.status_code == 403
    assert b"/dms/node/drain" in refused.content

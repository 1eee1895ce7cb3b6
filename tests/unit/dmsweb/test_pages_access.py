"""Who may open what: nobody without logging in, strangers get 404, what is not allowed is not offered."""

from __future__ import annotations

import pytest
from django.test import Client

from capabilities.models import AuditEntry, Token
from deployments.models import Deployment
from dmsweb.accounts.services import login_link_create
from dmsweb.accounts.tokens import token_create

PAGES = [
    "/",
    "/bar/",
    "/audit/",
    "/deployments/",
    "/deployments/new/",
    "/deployments/abc/",
    "/nodes/",
    "/account/tokens/",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_ask_to_log_in(path, people):
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/login/?next={path}"


@pytest.mark.parametrize(
    "path", ["/", "/bar/", "/audit/", "/deployments/", "/deployments/new/", "/nodes/", "/account/tokens/"]
)
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_pages_open(path, name, people):
    people.deploy("bob")
    answer = people.client(name).get(path)
    assert answer.status_code == 200
    assert (
        "script-src" in answer["Content-Security-Policy"]
        or "default-src 'self'" in answer["Content-Security-Policy"]
    )
    assert b"style=" not in answer.content
    assert b"onclick" not in answer.content


def test_a_stranger_gets_404(people):
    deployment = people.deploy("bob")
    path = f"/deployments/{deployment.pk}/"
    assert people.client("bob").get(path).status_code == 200
    assert people.client("alice").get(path).status_code == 200
    assert people.client("charlie").get(path).status_code == 404
    assert people.client("charlie").post(f"{path}shutdown/").status_code == 404
    assert people.client("charlie").get(f"/deployments/new/?again={deployment.pk}").status_code == 404
    deployment.refresh_from_db()
    assert not deployment.stop_wanted


def test_a_stranger_sees_nothing_in_lists(people):
    people.deploy("bob")
    for path in ("/", "/deployments/", f"/nodes/{people.node.pk}/"):
        assert b"of-bob" not in people.client("charlie").get(path).content
    assert b"of-bob" in people.client("bob").get("/deployments/").content


def test_navigation_holds_only_what_may_be_opened(people):
    assert b'href="/admin/"' not in people.client("bob").get("/").content
    assert b'href="/audit/"' not in people.client("bob").get("/").content
    assert b'href="/admin/"' in people.client("alice").get("/").content
    assert b'href="/audit/"' in people.client("alice").get("/").content


def test_onboarding_is_offered_to_the_owner_only(people):
    path = f"/nodes/{people.node.pk}/"
    assert b"Change what it offers" in people.client("alice").get(path).content
    assert b"Change what it offers" not in people.client("bob").get(path).content
    assert people.client("bob").get(f"{path}onboard/").status_code == 403
    assert people.client("bob").post(f"{path}offboard/").status_code == 302
    people.node.refresh_from_db()
    assert people.node.onboarding
    assert AuditEntry.objects.filter(outcome="refused", path="/dms/node/onboarding/offboard").exists()


def test_deploying_is_offered_only_with_the_capability(people):
    Token.objects.filter(subject=people.identity("charlie").did).delete()
    client = people.client("charlie")
    page = client.get("/deployments/new/").content
    assert b"Your account may not deploy" in page
    assert client.post("/deployments/new/", {"source": "version: V1"}).status_code == 403
    assert not Deployment.objects.exists()


def test_writes_take_only_post(people):
    deployment = people.deploy("bob")
    client = people.client("bob")
    assert client.get(f"/deployments/{deployment.pk}/shutdown/").status_code == 405
    assert client.post("/deployments/").status_code == 405
    assert client.get(f"/nodes/{people.node.pk}/offboard/").status_code == 405


def test_csrf_is_asked_for(people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.bob)
    deployment = people.deploy("bob")
    assert client.post(f"/deployments/{deployment.pk}/shutdown/").status_code == 403


def test_login_with_a_password(people):
    client = Client()
    assert client.get("/login/").status_code == 200
    wrong = client.post("/login/", {"username": "bob", "password": "no"})
    assert wrong.status_code == 200
    assert b'role="alert"' in wrong.content
    right = client.post("/login/?next=/nodes/", {"username": "bob", "password": "correct horse battery"})
    assert right.status_code == 302
    assert client.get("/").status_code == 200


def test_a_login_link_works_once_and_only_on_the_button(people):
    path = login_link_create(people.bob)
    assert Client().get(path).status_code == 200
    client = Client()
    assert client.post(path)["Location"] == "/"
    assert client.get("/").status_code == 200
    again = Client().post(path)
    assert again.status_code == 403
    assert b"has been used" in again.content


def test_a_token_is_shown_once_and_revoked_by_its_owner_only(people):
    client = people.client("bob")
    made = client.post("/account/tokens/", {"name": "laptop"})
    text = made.context["made"]
    assert text
    assert text.encode() in made.content
    listed = client.get("/account/tokens/")
    assert text.encode() not in listed.content
    assert b"laptop" in listed.content
    key = listed.context["tokens"][0].token_key
    people.client("charlie").post(f"/account/tokens/{key}/revoke/")
    assert client.get("/account/tokens/").context["tokens"].count() == 1
    client.post(f"/account/tokens/{key}/revoke/")
    assert client.get("/account/tokens/").context["tokens"].count() == 0


def test_the_empty_token_page_teaches(people):
    token_create(people.alice, "other")
    assert b"No token yet" in people.client("bob").get("/account/tokens/").content


def test_unknown_pages_are_404(people):
    for path in ("/nothing/", "/deployments/nope/", "/nodes/00000000-0000-0000-0000-000000000000/"):
        answer = people.client("bob").get(path)
        assert answer.status_code == 404
        assert b"belongs to somebody else" in answer.content

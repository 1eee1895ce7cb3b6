"""Every registered behavior over REST: reachable, authenticated, refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from capabilities.numbers import NUMBERS
from dmsweb.accounts.tokens import token_create
from dmsweb.api.limits import BodyLimit
from node.registry import REGISTRY
from tests.unit.node.doorway import house

pytestmark = pytest.mark.django_db(databases=["default", "nonces"])
PROBLEM = "application/problem+json"
COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture
def here():
    with house() as made:
        yield made


@pytest.fixture
def root(here):
    return bearer(here.root.user)


@pytest.fixture
def person(here):
    return bearer(here.person.user)


def bearer(user) -> Client:
    return Client(headers={"authorization": f"Bearer {token_create(user, 'test')}"})


def post(client, path, body=None, **kwargs):
    return client.post(f"/api/v1{path}", json.dumps(body or {}), content_type="application/json", **kwargs)


def test_a_behavior_answers_under_the_names_of_the_reference(root):
    answer = post(root, "/test/echo", {"text": "ab", "Times": 2})
    assert (answer.status_code, answer.json()) == (200, {"Text": "abab"})
    assert (
        root.post("/api/v1/public/hello", b"", content_type="application/json")
        .json()["DID"]["uri"]
        .startswith("did:key:")
    )


def test_every_registered_behavior_is_reachable(root, person):
    for entry in REGISTRY:
        if entry.path.startswith("/test/"):
            continue
        answer = post(root, entry.path, {"NoSuchMember": 1})
        assert answer.status_code == 400, (entry.path, answer.content)
        assert answer.headers["Content-Type"] == PROBLEM
        assert answer.json()["type"] == "urn:dms:problem:invalid_request"
        assert post(Client(), entry.path).status_code == 401
        assert root.get(f"/api/v1{entry.path}").status_code == 405


def test_without_a_token_nobody_gets_in(here):
    for client in (
        Client(),
        Client(headers={"authorization": "Bearer nonsense"}),
        Client(headers={"authorization": "Bearer"}),
        Client(headers={"authorization": "Bearer caf\u00e9".encode().decode("latin-1")}),
    ):
        answer = post(client, "/test/echo", {"Text": "a"})
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == PROBLEM
        assert answer.json()["type"] == "urn:dms:problem:not_authenticated"


def test_a_session_needs_the_csrf_token(here):
    client = Client(enforce_csrf_checks=True)
    client.force_login(here.root.user)
    assert post(client, "/test/echo", {"Text": "a"}).status_code == 403
    client.get("/login/")
    plain = Client()
    plain.force_login(here.root.user)
    assert post(plain, "/test/echo", {"Text": "a"}).status_code == 200


def test_a_missing_capability_is_named(person):
    answer = post(person, "/test/echo", {"Text": "a"})
    assert answer.status_code == 403
    assert answer.json()["capability"] == "/test/echo"


def test_wrong_paths_and_verbs_are_told_apart(root, person):
    answer = post(root, "/test/ecko", {})
    assert answer.status_code == 404
    assert "/test/echo" in answer.json()["hint"]
    assert root.get("/api/v1/test/echo").status_code == 405
    assert "POST" in root.get("/api/v1/test/echo").headers["Allow"]
    for path in ("/api/v1/no/such/thing", "/api/nowhere"):
        answer = root.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, PROBLEM)
    assert Client().get("/api/v1/no/such/thing").status_code == 401


def test_bad_bodies_are_refused_in_words(root):
    for body in (b"{", b"[1]", b'"text"', b"\xff"):
        answer = root.post("/api/v1/test/echo", body, content_type="application/json")
        assert answer.status_code == 400, body
        assert answer.headers["Content-Type"] == PROBLEM
    answer = root.post("/api/v1/test/echo", b"Text=a", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    assert "application/json" in answer.json()["hint"]


def test_a_fault_of_ours_is_a_problem_with_a_request_id(root):
    answer = post(root, "/test/breaks", {"Text": "a"}, headers={"x-request-id": "abc"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == "abc"


def test_the_catalogue_holds_every_behavior_with_schemas(root, person):
    listed = {entry["path"]: entry for entry in root.get("/api/v1/behaviors/").json()["behaviors"]}
    assert set(listed) == set(REGISTRY.entries)
    assert listed["/test/echo"]["request"]["properties"]["Text"]["type"] == "string"
    assert listed["/test/echo"]["response"]["required"] == ["Text"]
    assert listed["/test/echo"]["doc"] == "Say the text as often as asked."
    assert all(entry["allowed"] for entry in listed.values())
    allowed = {e["path"]: e["allowed"] for e in person.get("/api/v1/behaviors/").json()["behaviors"]}
    assert allowed["/public/hello"]
    assert not allowed["/test/echo"]


def test_the_openapi_document_holds_every_behavior(root):
    document = root.get("/api/schema/", headers={"accept": "application/vnd.oai.openapi+json"}).json()
    assert document["openapi"].startswith("3.1")
    for entry in REGISTRY:
        operation = document["paths"][f"/api/v1{entry.path}"]["post"]
        assert operation["summary"] == entry.doc
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema["$ref"].removeprefix("#/components/schemas/") in document["components"]["schemas"]
    assert "/api/v1/deployments/" in document["paths"]


@pytest.mark.sqlite  # bounds of numbers in it are the database's
def test_the_committed_openapi_document_is_the_present_one(tmp_path):
    made = tmp_path / "openapi.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(made))
    assert json.loads(made.read_text()) == json.loads(COMMITTED.read_text()), (
        "make it again: python manage.py spectacular --format openapi-json --file docs/openapi.json"
    )


def test_only_the_page_with_the_viewer_has_a_looser_policy(root):
    docs = root.get("/api/docs/")
    assert docs.status_code == 200
    assert "style-src 'self' 'unsafe-inline'" in docs.headers["Content-Security-Policy"]
    assert "script-src 'self';" in docs.headers["Content-Security-Policy"]
    assert b"<script>" not in docs.content
    assert "unsafe" not in root.get("/api/v1/me/").headers["Content-Security-Policy"]


async def test_a_body_beyond_the_bound_is_answered_413_without_being_read():
    most = NUMBERS.request_max_bytes
    seen = []

    async def inner(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        seen.append("read")

    async def run(headers, parts):
        sent = []
        chunks = iter(parts)

        async def receive():
            body = next(chunks)
            return {"type": "http.request", "body": body, "more_body": True}

        async def send(message):
            sent.append(message)

        await BodyLimit(inner)({"type": "http", "headers": headers}, receive, send)
        return sent

    declared = await run([(b"content-length", str(most + 1).encode())], [])
    chunked = await run([], [b"x" * (most // 2)] * 3)
    for sent in (declared, chunked):
        assert sent[0]["status"] == 413
        assert json.loads(sent[1]["body"])["type"] == "urn:dms:problem:request_too_large"
    assert seen == []

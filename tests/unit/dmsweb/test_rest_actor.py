"""Envelopes over REST, in the reference's shapes: no account is needed, the envelope alone counts."""

from __future__ import annotations

import json
import threading
import time

import pytest
from django.test import Client

from dmsweb.accounts.tokens import token_create
from node.envelope import Envelope
from tests.unit.node.doorway import NS, Sender, content, house

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "nonces"])


@pytest.fixture
def here():
    with house() as made:
        yield made


@pytest.fixture
def client(here):
    return Client(headers={"authorization": f"Bearer {token_create(here.person.user, 'test')}"})


def post(client, verb, envelope):
    return client.post(f"/api/v1/actor/{verb}", envelope.to_json(), content_type="application/json")


def test_the_handle_is_the_nodes_own(here, client):
    assert client.get("/api/v1/actor/handle").json() == here.handle.document()
    assert Client().get("/api/v1/actor/handle").json() == here.handle.document()


def test_send_delivers(here, client):
    answer = post(
        client, "send", Sender().trusted().message(here.handle, "/test/echo", {"Text": "x"}, cont="")
    )
    assert (answer.status_code, answer.json()) == (200, {"message": "message sent"})
    answer = post(
        Client(), "send", Sender().trusted().message(here.handle, "/test/echo", {"Text": "x"}, cont="")
    )
    assert (answer.status_code, answer.json()) == (200, {"message": "message sent"})
    answer = post(Client(), "send", Sender().message(here.handle, "/test/echo", {"Text": "x"}, cont=""))
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:dms:problem:not_authorized"


def test_invoke_answers_with_the_signed_reply(here, client):
    answer = post(client, "invoke", Sender().trusted().message(here.handle, "/test/echo", {"Text": "x"}))
    assert answer.status_code == 200
    assert content(Envelope.parse(answer.content)) == {"Text": "x"}


def test_the_envelopes_sender_is_who_asks_not_the_bearer_of_the_token(here, client):
    answer = post(client, "invoke", Sender().message(here.handle, "/test/echo", {"Text": "x"}))
    assert answer.status_code == 200
    document = content(Envelope.parse(answer.content))
    assert document["type"] == "urn:dms:problem:not_authorized"


def test_invoke_needs_a_reply_address(here, client):
    answer = post(client, "invoke", Sender().trusted().message(here.handle, "/test/echo", cont=""))
    assert answer.status_code == 400
    assert "no behavior to reply to" in answer.json()["detail"]


def test_an_unsigned_or_foreign_envelope_is_a_problem(here, client):
    stranger = Sender()
    answer = post(client, "invoke", stranger.message(stranger_handle(), "/test/echo"))
    assert answer.status_code == 404
    document = stranger.message(here.handle, "/test/echo").document() | {"sig": ""}
    answer = client.post("/api/v1/actor/invoke", json.dumps(document), content_type="application/json")
    assert answer.status_code == 401
    for body in (b"{", b"[]", b""):
        answer = client.post("/api/v1/actor/send", body, content_type="application/json")
        assert answer.status_code == 400


def test_an_answer_that_comes_too_late_is_408(here, client, monkeypatch):
    released = threading.Event()

    def late(*args, **kwargs):
        assert released.wait(20)

    monkeypatch.setattr("node.actor.run", late)
    sender = Sender().trusted()
    envelope = sender.message(here.handle, "/test/echo", {"Text": "x"}, expires_ns=time.time_ns() + 2 * NS)
    answer = post(client, "invoke", envelope)
    assert (answer.status_code, answer.json()) == (408, {"error": "request timeout"})
    released.set()


def test_broadcasts_gather_replies(here, client):
    sender = Sender()
    blob = sender.token(here.key, "/broadcast/heard", action="broadcast", topics=("/test/topic",))
    envelope = sender.message(None, "/broadcast/heard", {"Text": "x"}, topic="/test/topic", capabilities=blob)
    answer = post(client, "broadcast", envelope)
    assert answer.status_code == 200
    (reply,) = answer.json()
    assert content(Envelope.from_document(reply)) == {"Text": "x"}
    answer = post(client, "broadcast", sender.message(here.handle, "/test/echo"))
    assert answer.status_code == 400
    assert answer.json()["error"] == "message is not a broadcast message"


def stranger_handle():
    from node.handle import Handle

    return Handle.of_key(Sender().key.public)

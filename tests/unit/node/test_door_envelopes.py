"""Signed envelopes through the door: each check, in the order in which they protect."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from capabilities.keys import PrivateKey
from capabilities.models import AuditEntry, Identity, Token
from capabilities.refusal import Refusal
from capabilities.services import grant, revoke, root_add
from node import actor
from node.dispatch import LIMITER
from node.door import receive
from node.handle import Handle
from node.limiter import Limits
from node.mailbox import Mailbox
from tests.unit.node.doorway import DAY_NS, NS, Sender, content, house

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
WAIT_S = 20


@pytest.fixture
def here():
    with house() as made:
        yield made


def send(envelope):
    return receive(envelope.to_json(), remote_addr="127.0.0.1")


def problem(envelope, code):
    """Return the problem in the signed reply."""
    document = content(send(envelope))
    assert document["type"] == f"urn:dms:problem:{code}", document
    return document


def plainly(data, code):
    """Return the refusal of what has no sender who could be answered."""
    with pytest.raises(Refusal) as caught:
        receive(data)
    assert caught.value.code == code, caught.value.problem()
    return caught.value


def test_a_root_is_answered_by_a_signed_reply(here):
    sender = Sender().trusted()
    question = sender.message(here.handle, "/test/echo", {"Text": "x", "Times": 3})
    reply = send(question)
    assert content(reply) == {"Text": "xxx"}
    assert (reply.to, reply.behavior, reply.sender) == (question.sender, "/private/user/1", here.handle)
    assert reply.expires_ns == question.expires_ns


def test_without_a_reply_address_nothing_comes_back(here):
    sender = Sender().trusted()
    assert send(sender.message(here.handle, "/test/echo", {"Text": "x"}, cont="")) is None
    with pytest.raises(Refusal, match="no behavior /test/none"):
        send(sender.message(here.handle, "/test/none", cont=""))


def test_a_stranger_is_told_which_capability_is_missing(here):
    document = problem(Sender().message(here.handle, "/test/echo", {"Text": "x"}), "not_authorized")
    assert document["capability"] == "/test/echo"
    assert document["status"] == 403
    assert not Identity.objects.filter(kind="peer").exists()
    assert AuditEntry.objects.get(outcome="refused").source == "peer"


def test_a_chain_anchored_at_the_node_opens(here):
    sender = Sender()
    blob = sender.token(here.key, "/test/echo")
    assert content(send(sender.message(here.handle, "/test/echo", {"Text": "x"}, capabilities=blob))) == {
        "Text": "x"
    }
    assert Identity.objects.get(kind="peer").did == sender.did
    problem(sender.message(here.handle, "/test/who", {}, capabilities=blob), "not_authorized")


def test_a_token_issued_by_the_site_need_not_travel(here):
    sender = Sender()
    grant(here.node.identity, sender.did, ["/test"], timedelta(hours=1))
    assert content(send(sender.message(here.handle, "/test/who", {}))) == {"Text": sender.did}
    revoke(Token.objects.get(owner__did=sender.did))
    problem(sender.message(here.handle, "/test/who", {}), "not_authorized")


def test_a_revoked_token_that_travels_opens_nothing(here):
    sender = Sender()
    token = grant(here.node.identity, sender.did, ["/test"], timedelta(hours=1), action="invoke")
    blob = b'{"tok":[' + token.text().encode() + b"]}"
    stranger_copy = sender.message(here.handle, "/test/who", {}, capabilities=blob)
    assert content(send(stranger_copy)) == {"Text": sender.did}
    revoke(Token.objects.get(owner__did=sender.did))
    document = problem(sender.message(here.handle, "/test/who", {}, capabilities=blob), "not_authorized")
    assert "revoked" in document["detail"]


def test_an_id_speaks_for_a_did_by_a_token_made_for_this_node(here):
    owner, sender = PrivateKey.generate(), Sender()
    root = Sender(key=owner)
    root_add(root.did)
    claimed = Handle(sender.key.public, root.did, sender.key.public.peer_id(), "user-1")
    good = sender.token(owner, "/test/who", audience=here.node.identity.did)
    reply = send(sender.message(here.handle, "/test/who", {}, capabilities=good, sender=claimed))
    assert content(reply) == {"Text": root.did}
    # A token that the owner has merely granted does not make its holder the owner.
    loose = sender.token(owner, "/test/who")
    document = problem(
        sender.message(here.handle, "/test/who", {}, capabilities=loose, sender=claimed), "not_authorized"
    )
    assert "acts for" in document["detail"]
    assert content(send(sender.message(here.handle, "/test/who", {}, capabilities=loose))) == {
        "Text": sender.did
    }


def test_nobody_becomes_a_root_by_naming_one(here):
    sender = Sender()
    for did in (here.root.did, here.node.identity.did):
        claimed = Handle(sender.key.public, did, sender.key.public.peer_id(), "user-1")
        problem(sender.message(here.handle, "/test/who", {}, sender=claimed), "not_authorized")
        given = sender.token(here.key, "/test/who")
        problem(
            sender.message(here.handle, "/test/who", {}, sender=claimed, capabilities=given), "not_authorized"
        )


def test_a_replay_is_refused_also_after_a_restart(here):
    sender = Sender().trusted()
    envelope = sender.message(here.handle, "/test/echo", {"Text": "x"})
    assert content(send(envelope)) == {"Text": "x"}
    problem(envelope, "message_replayed")
    actor.stop()
    connections.close_all()
    problem(envelope, "message_replayed")


def test_an_expired_message_is_refused_with_both_clocks(here):
    sender = Sender().trusted()
    before = time.time_ns()
    envelope = sender.message(here.handle, "/test/echo", {"Text": "x"}, now_ns=before - 60 * NS)
    reply = send(envelope)
    document = content(reply)
    assert document["type"] == "urn:dms:problem:message_expired"
    assert document["expires_ns"] == envelope.expires_ns
    assert document["now_ns"] >= before
    assert not reply.expired(time.time_ns())


def test_a_message_too_far_ahead_is_refused_unless_its_behavior_allows_it(here):
    sender = Sender().trusted()
    hour = time.time_ns() + 3600 * NS
    document = problem(
        sender.message(here.handle, "/test/echo", {"Text": "x"}, expires_ns=hour), "invalid_message"
    )
    assert "ahead" in document["detail"]
    assert content(send(sender.message(here.handle, "/test/slow", {"Text": "x"}, expires_ns=hour))) == {
        "Text": "x"
    }
    problem(
        sender.message(here.handle, "/test/slow", {"Text": "x"}, expires_ns=time.time_ns() + DAY_NS),
        "invalid_message",
    )


def test_tampering_is_noticed(here):
    sender = Sender().trusted()
    envelope = sender.message(here.handle, "/test/echo", {"Text": "x"})
    for changed in (
        replace(envelope, message=b'{"Text":"y"}'),
        replace(envelope, nonce=envelope.nonce + 1),
        replace(envelope, reply_to="/private/user/2"),
        replace(envelope, behavior="/test/who"),
        replace(envelope, signature=b""),
        replace(envelope, sender=Handle.of_key(Sender().key.public)),
    ):
        plainly(changed.to_json(), "signature_verification_failed")


def test_what_is_for_somebody_else_is_refused(here):
    sender = Sender().trusted()
    other = Handle.of_key(Sender().key.public)
    plainly(sender.message(other, "/test/echo", {"Text": "x"}).to_json(), "unknown_receiver")
    child = Handle.of_key(here.key.public, "no-such-child")
    plainly(sender.message(child, "/test/echo", {"Text": "x"}).to_json(), "unknown_receiver")


def test_a_token_for_another_audience_opens_nothing(here):
    sender = Sender()
    blob = sender.token(here.key, "/test/echo", audience=Sender().did)
    problem(sender.message(here.handle, "/test/echo", {"Text": "x"}, capabilities=blob), "not_authorized")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"7", b'{"to":7}', b"\xff", b'{"to":' * 5000, b"x" * 1_100_000]
)
def test_what_is_no_envelope_is_refused(here, data):
    plainly(data, "invalid_message")


def test_an_unknown_behavior_gets_a_signed_error_reply(here):
    document = problem(Sender().message(here.handle, "/test/ecko", {}), "unknown_behavior")
    assert "/test/echo" in document["hint"]


def test_refusals_of_the_handler_and_its_schema_travel_back(here):
    sender = Sender().trusted()
    document = problem(sender.message(here.handle, "/test/echo", {"Times": 0}), "invalid_request")
    assert {error["path"] for error in document["errors"]} == {"Text", "Times"}
    problem(sender.message(here.handle, "/test/breaks", {"Text": "x"}), "internal_error")
    problem(sender.message(here.handle, "/test/echo", [1]), "invalid_request")


def test_a_full_mailbox_is_a_reason_and_does_not_use_the_message_up(here):
    local = actor.local_actor()
    whole, local.mailbox = local.mailbox, Mailbox(1, 1, closing=connections.close_all)
    begun, go_on = threading.Event(), threading.Event()

    def busy():
        begun.set()
        assert go_on.wait(WAIT_S)

    local.mailbox.put(busy)
    assert begun.wait(WAIT_S)
    local.mailbox.put(lambda: None)
    envelope = Sender().trusted().message(here.handle, "/test/echo", {"Text": "x"})
    assert problem(envelope, "mailbox_full")["status"] == 503
    go_on.set()
    local.mailbox.stop()
    local.mailbox = whole
    assert content(send(envelope)) == {"Text": "x"}


def test_a_handler_that_takes_too_long_is_answered_for(here):
    local = actor.local_actor()
    whole, local.mailbox = local.mailbox, Mailbox(1, 1, closing=connections.close_all)
    begun, go_on = threading.Event(), threading.Event()

    def busy():
        begun.set()
        assert go_on.wait(WAIT_S)

    local.mailbox.put(busy)
    assert begun.wait(WAIT_S)
    sender = Sender().trusted()
    envelope = sender.message(here.handle, "/test/echo", {"Text": "x"}, expires_ns=time.time_ns() + 2 * NS)
    assert problem(envelope, "request_timeout")["status"] == 408
    go_on.set()
    local.mailbox.stop()
    local.mailbox = whole


def test_broadcasts_need_their_topic_and_a_broadcast_token(here):
    sender = Sender()
    blob = sender.token(here.key, "/broadcast/heard", action="broadcast", topics=("/test/topic",))
    heard: dict[str, Any] = {"topic": "/test/topic", "capabilities": blob}
    assert content(send(sender.message(None, "/broadcast/heard", {"Text": "x"}, **heard))) == {"Text": "x"}
    problem(sender.message(None, "/broadcast/heard", {"Text": "x"}, topic="/test/topic"), "not_authorized")
    problem(
        sender.message(None, "/broadcast/heard", {"Text": "x"}, **heard | {"topic": "/x"}), "invalid_message"
    )
    problem(sender.message(None, "/test/echo", {"Text": "x"}, **heard), "invalid_message")
    direct = sender.token(here.key, "/broadcast/heard")
    reply = send(sender.message(here.handle, "/broadcast/heard", {"Text": "x"}, capabilities=direct))
    assert content(reply) == {"Text": "x"}


def test_a_full_topic_is_a_reason(here):
    sender = Sender()
    blob = sender.token(here.key, "/broadcast/heard", action="broadcast", topics=("/test/topic",))
    LIMITER.configure(Limits(topic_default=1))
    LIMITER.acquire("/broadcast/heard", "/test/topic")
    try:
        envelope = sender.message(
            None, "/broadcast/heard", {"Text": "x"}, topic="/test/topic", capabilities=blob
        )
        problem(envelope, "rate_limit_exceeded")
    finally:
        LIMITER.release("/broadcast/heard", "/test/topic")
        LIMITER.configure(Limits())
    assert content(send(envelope)) == {"Text": "x"}


def test_a_node_does_not_answer_its_own_broadcast(here):
    own = actor.local_actor().compose(Handle(), "/broadcast/heard", {"Text": "x"}, topic="/test/topic")
    with pytest.raises(Refusal, match="own broadcasts"):
        send(own)


def test_replies_come_once_and_only_from_whom_was_asked(here):
    local = actor.local_actor()
    asked, stranger = Sender(), Sender()
    question = local.compose(Handle.of_key(asked.key.public), "/test/echo", {"Text": "x"}, reply=True)
    answer = local.replies.expect(question)
    problem(stranger.message(here.handle, question.reply_to, {}), "not_authorized")
    assert not answer.done()
    assert send(asked.message(here.handle, question.reply_to, {"Text": "x"}, cont="")) is None
    assert answer.result(0).payload() == {"Text": "x"}
    problem(asked.message(here.handle, question.reply_to, {}), "unknown_behavior")


def test_a_reply_nobody_waits_for_any_more_is_forgotten(here):
    local = actor.local_actor()
    asked = Sender()
    question = local.compose(Handle.of_key(asked.key.public), "/test/echo", {}, reply=True)
    answer = local.replies.expect(question)
    with pytest.raises(Refusal, match="no reply is awaited"):
        local.replies.deliver(asked.message(here.handle, question.reply_to, {}), question.expires_ns + 1)
    assert answer.cancelled()
    assert len(local.replies) == 0


def test_what_a_node_composes_another_accepts(here):
    local = actor.local_actor()
    to_self = local.compose(local.handle, "/test/who", {}, reply=True)
    assert content(send(to_self)) == {"Text": here.node.identity.did}

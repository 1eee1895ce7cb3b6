"""Envelopes: exact bytes, strict reading, signatures over everything, replies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.keys import KeyType, PrivateKey
from capabilities.refusal import Refusal
from node.envelope import Envelope, EnvelopeFault, compose, encode_payload
from node.handle import EMPTY, Handle

NOW = 1_700_000_000_000_000_000
ALICE, BOB = PrivateKey.generate(), PrivateKey.generate(KeyType.Secp256k1)
A, B = Handle.of_key(ALICE.public), Handle.of_key(BOB.public, "user-1")
TEXTS = st.text(st.sampled_from('ab/<>&"\\\u2028\n\b\0é\U0001f600\ufffd'), max_size=12)
UINT64 = st.integers(0, 2**64 - 1)
ENVELOPES = st.builds(
    Envelope,
    to=st.sampled_from([A, B, EMPTY]),
    behavior=TEXTS,
    sender=st.sampled_from([A, B]),
    nonce=UINT64,
    expires_ns=UINT64,
    reply_to=TEXTS,
    topic=TEXTS,
    message=st.none() | st.binary(max_size=20),
    capabilities=st.binary(max_size=20),
)


def hello(**change: Any) -> Envelope:
    values: dict[str, Any] = {
        "to": A,
        "behavior": "/public/hello",
        "sender": B,
        "payload": {"n": 2**64 - 1},
        "nonce": 7,
        "now_ns": NOW,
    }
    return compose(**(values | change))


def code_of(data: bytes) -> str:
    with pytest.raises(EnvelopeFault) as caught:
        Envelope.parse(data)
    assert caught.value.detail.startswith("invalid message")
    return caught.value.code


def test_the_wire() -> None:
    envelope = hello(reply_to="/r", topic="/t", capabilities=b"{}")
    assert (
        envelope.signed_bytes()
        == (
            f'dms:msg:{{"to":{A.text()},"be":"/public/hello","from":{B.text()},"nonce":7,'
            f'"opt":{{"exp":{NOW + 30_000_000_000},"cont":"/r","topic":"/t"}},'
            f'"msg":"eyJuIjoxODQ0Njc0NDA3MzcwOTU1MTYxNX0=","cap":"e30="}}'
        ).encode()
    )
    signed = envelope.sign(BOB)
    assert signed.to_json().startswith(envelope.to_json()[:-1] + b',"sig":"')
    assert json.loads(signed.to_json()) == signed.document()


def test_nothing_and_null_differ() -> None:
    assert b'"msg":""' in hello(payload=None).to_json()
    assert b'"msg":null' in replace(hello(), message=None).to_json()
    assert Envelope.parse(b'{"msg":""}').message == b""
    assert Envelope.parse(b'{"msg":null}').message is Envelope.parse(b"{}").message is None


@given(ENVELOPES)
def test_round_trip(envelope: Envelope) -> None:
    signed = envelope.sign(ALICE if envelope.sender == A else BOB)
    again = Envelope.parse(signed.to_json())
    assert again == signed
    assert again.verify() is True
    assert Envelope.from_document(signed.document()) == signed


@given(ENVELOPES, st.data())
def test_the_signature_covers_everything(envelope: Envelope, data: st.DataObject) -> None:
    signed = envelope.sign(ALICE if envelope.sender == A else BOB)
    other = data.draw(ENVELOPES)
    for name in (
        "to",
        "behavior",
        "sender",
        "nonce",
        "expires_ns",
        "reply_to",
        "topic",
        "message",
        "capabilities",
    ):
        altered = replace(signed, **{name: getattr(other, name)})
        if altered != signed:
            with pytest.raises(EnvelopeFault) as caught:
                altered.verify()
            assert caught.value.code == "signature_verification_failed"


def test_unknown_members_are_not_covered_and_not_kept() -> None:
    signed = hello().sign(BOB)
    document = signed.document() | {"more": {"a": 1}}
    assert Envelope.parse(json.dumps(document).encode()) == signed


def test_member_names_in_any_case() -> None:
    signed = hello(reply_to="/r").sign(BOB)
    document = signed.document()
    odd = {name.upper(): value for name, value in document.items()}
    odd["OPT"] = {name.title(): value for name, value in document["opt"].items()}
    assert Envelope.parse(json.dumps(odd, indent=1).encode()).verify()
    assert code_of(json.dumps(document | {"MSG": "e30="}).encode()) == "invalid_message"


def test_unsigned_and_nameless() -> None:
    for envelope in (hello(), replace(hello().sign(BOB), sender=EMPTY), Envelope(A, "/x", EMPTY)):
        with pytest.raises(EnvelopeFault) as caught:
            envelope.verify()
        assert caught.value.status == 401


def test_only_the_sender_signs() -> None:
    with pytest.raises(EnvelopeFault) as caught:
        hello().sign(ALICE)
    assert caught.value.code == "invalid_security_context"


def test_what_is_no_text_is_signed_as_others_will_read_it() -> None:
    signed = hello(behavior="/x\udcff", sender=replace(B, inbox="\ud800")).sign(BOB)
    assert signed.behavior == "/x\ufffd"
    assert Envelope.parse(signed.to_json()).verify()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("be",), 1),
        (("to",), []),
        (("from",), "x"),
        (("from", "id", "pub"), "AAAA"),
        (("nonce",), -1),
        (("nonce",), 2**64),
        (("nonce",), 1.0),
        (("nonce",), "1"),
        (("nonce",), True),
        (("opt",), 5),
        (("opt", "exp"), 1e18),
        (("opt", "cont"), {}),
        (("msg",), "e30"),
        (("msg",), {"n": 1}),
        (("cap",), "*"),
        (("sig",), 0),
        (("be",), "x" * 2000),
    ],
)
def test_types_are_strict(path: tuple[str, ...], value: object) -> None:
    document = hello(capabilities=b"{}").sign(BOB).document()
    target = document
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    assert code_of(json.dumps(document).encode()) == "invalid_message"


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{", b"\xff", b'{"nonce":NaN}', b"[" * 500_000, b"{}{}"]
)
def test_hostile_bytes(data: bytes) -> None:
    assert code_of(data) == "invalid_message"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_random_bytes_never_crash(data: bytes) -> None:
    try:
        Envelope.parse(data)
    except EnvelopeFault:
        return


def test_the_size_is_bounded() -> None:
    assert code_of(b'{"x":"' + b"a" * (1 << 20) + b'"}') == "invalid_message"
    Envelope.parse(b'{"x":"' + b"a" * ((1 << 20) - 8) + b'"}')


def test_expiry() -> None:
    envelope = hello(timeout_s=30)
    last = NOW + 30_000_000_000
    assert (envelope.expired(last), envelope.expired(last + 1)) == (False, True)
    envelope.check_expiry(last)
    with pytest.raises(EnvelopeFault) as caught:
        envelope.check_expiry(last + 1)
    assert caught.value.code == "message_expired"
    assert caught.value.members == {"expires_ns": last, "now_ns": last + 1}
    hello(timeout_s=600).check_expiry(NOW)
    with pytest.raises(EnvelopeFault, match="ahead of the clock"):
        hello(timeout_s=601).check_expiry(NOW)
    hello(timeout_s=601).check_expiry(NOW, max_ahead_s=3600)
    assert hello(expires_ns=5).expires_ns == 5
    assert hello(timeout_s=1e12).expires_ns == 2**64 - 1


def test_broadcasts_need_a_topic_and_no_receiver() -> None:
    assert hello(to=EMPTY, topic="/t").broadcast
    assert not hello(to=EMPTY).broadcast
    assert not hello(topic="/t").broadcast


def test_reply() -> None:
    asked = hello(reply_to="/r").sign(BOB)
    answer = asked.reply({"ok": True}, nonce=9)
    assert (answer.to, answer.sender, answer.behavior) == (B, A, "/r")
    assert (answer.expires_ns, answer.nonce, answer.reply_to) == (asked.expires_ns, 9, "")
    assert answer.sign(ALICE).verify()
    with pytest.raises(EnvelopeFault, match="no behavior to reply to"):
        hello().reply({}, nonce=1)
    call = hello(to=EMPTY, topic="/t", reply_to="/r")
    with pytest.raises(EnvelopeFault, match="named actor"):
        call.reply({}, nonce=1)
    assert call.reply({}, nonce=1, source=A).sender == A


def test_payloads() -> None:
    assert hello().payload() == {"n": 2**64 - 1}
    assert hello(payload=None).payload() is replace(hello(), message=None).payload() is None
    assert encode_payload([1, "é"]) == b'[1,"\\u00e9"]'
    for message in (b"{", b"NaN", b"[" * 100_000):
        with pytest.raises(EnvelopeFault, match="msg"):
            replace(hello(), message=message).payload()
    with pytest.raises(ValueError):
        encode_payload([float("nan")])


def test_faults_are_problems() -> None:
    with pytest.raises(Refusal) as caught:
        hello().verify()
    problem = caught.value.problem()
    assert problem["type"] == "urn:dms:problem:signature_verification_failed"
    assert problem["hint"]

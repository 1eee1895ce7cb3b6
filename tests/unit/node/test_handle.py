"""Handles: the JSON of the wire, the text of the logs, both read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.did import DidFault, did_of
from capabilities.keys import KeyFault, KeyType, PrivateKey, PublicKey
from capabilities.refusal import Refusal
from node.handle import EMPTY, Handle, HandleFault

KEY = PublicKey(KeyType.Ed25519, bytes(range(32)))
DID = did_of(KEY)
PUB = "BAAREIAAAEBAGBAFAYDQQCIKBMGA2DQPCAIREEYUCULBOGAZDINRYHI6D4======"
KEYS = st.sampled_from([KEY, PrivateKey.generate(KeyType.Secp256k1).public, PrivateKey.generate().public])
HANDLES = st.builds(
    Handle,
    st.none() | KEYS,
    st.sampled_from(["", DID, "did:web:example.org"]),
    st.text(st.characters(exclude_characters=":[]", exclude_categories=["Cs"]), max_size=60),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


def document(**change: Any) -> dict[str, Any]:
    return {"id": {"pub": PUB}, "did": {"uri": DID}, "addr": {"host": "12D3", "inbox": "root"}} | change


def test_the_wire() -> None:
    handle = Handle(KEY, DID, "12D3", "root")
    assert handle.text() == json.dumps(document(), separators=(",", ":"))
    assert handle.document() == document()
    assert Handle.parse(document()) == handle
    assert EMPTY.text() == '{"id":{"pub":""},"did":{},"addr":{}}'


@given(HANDLES)
def test_round_trips(handle: Handle) -> None:
    assert Handle.parse(json.loads(handle.text())) == handle
    assert Handle.parse(handle.document()) == handle
    assert Handle.from_text(str(handle)) == handle
    assert Handle.parse(handle.document()).text() == handle.text()


def test_empty_is_empty_in_every_part() -> None:
    assert EMPTY.empty
    assert Handle.parse({}) == Handle.parse({"id": None, "did": {}, "addr": {}}) == EMPTY
    for handle in (Handle(KEY), Handle(did=DID), Handle(host="h"), Handle(inbox="i")):
        assert not handle.empty
    assert (EMPTY.id_did, Handle(KEY).id_did) == ("", DID)


def test_the_text_form() -> None:
    assert str(Handle(KEY, DID, "12D3", "a:b@c")) == f"{DID}[{DID}]@12D3:a:b@c"
    assert str(EMPTY) == "[]@:"
    for text in ("", "x", "[]", f"{DID}@h:i", "a[b]@h"):
        with pytest.raises(HandleFault):
            Handle.from_text(text)
    with pytest.raises(DidFault):
        Handle.from_text(f"did:web:x[{DID}]@h:i")


@pytest.mark.parametrize("kind", [KeyType.Ed25519, KeyType.Secp256k1])
def test_from_a_did_or_a_peer_id(kind: KeyType) -> None:
    key = PrivateKey.generate(kind).public
    handle = Handle.of_key(key)
    assert (handle.did, handle.host, handle.inbox) == (did_of(key), key.peer_id(), "root")
    assert Handle.of_did(handle.did) == Handle.of_peer_id(handle.host) == handle
    with pytest.raises(DidFault):
        Handle.of_did("did:web:example.org")
    with pytest.raises(KeyFault):
        Handle.of_peer_id("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")


def test_wallet_keys_are_no_actors() -> None:
    wallet = PublicKey(KeyType.Cardano, bytes(32))
    with pytest.raises(HandleFault):
        Handle(wallet)
    with pytest.raises(HandleFault):
        Handle.of_did(did_of(wallet))


@pytest.mark.parametrize(
    "change",
    [
        {"id": {"pub": PUB.lower()}},
        {"id": {"pub": PUB.rstrip("=")}},
        {"id": {"pub": PUB[:-7] + "7======"}},
        {"id": {"pub": "========"}},
        {"id": {"pub": "A======="}},
        {"id": {"pub": "AA======"}},
        {"id": {"pub": "A" * 4096}},
        {"id": {"pub": "٣" * 8}},
        {"id": {"pub": 5}},
        {"id": PUB},
        {"did": DID},
        {"did": {"uri": "did:key"}},
        {"did": {"uri": None, "URI": 5}},
        {"addr": []},
        {"addr": {"host": 1}},
        {"addr": {"host": "h" * 300}},
        {"addr": {"inbox": "i" * 2000}},
        {"addr": {"inbox": "a", "Inbox": "b"}},
    ],
)
def test_what_is_no_handle(change: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        Handle.parse(document(**change))
    assert caught.value.detail


def test_unknown_members_are_dropped_and_case_is_ignored() -> None:
    odd = {
        "ID": {"Pub": PUB, "x": 1},
        "Did": {"URI": DID},
        "ADDR": {"Host": "12D3", "INBOX": "root"},
        "more": [],
    }
    assert Handle.parse(odd) == Handle.parse(document())

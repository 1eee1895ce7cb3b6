"""Keys against public vectors, against libsodium's traps, and round trips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.base58 import b58decode, b58encode
from capabilities.keys import KeyFault, KeyType, PrivateKey, PublicKey
from tests.support.require import require

LOW_ORDER = bytes([1]) + bytes(31)


def vectors(path: str) -> Any:
    return json.loads(Path(require("shared"), "vectors", path).read_text())


def test_rfc_8032() -> None:
    for vector in vectors("rfc8032/ed25519.json")["vectors"]:
        key = PrivateKey(KeyType.Ed25519, bytes.fromhex(vector["seed_hex"]))
        message, signature = bytes.fromhex(vector["message_hex"]), bytes.fromhex(vector["signature_hex"])
        assert key.public.raw.hex() == vector["public_hex"]
        assert key.sign(message) == signature
        assert key.public.verify(message, signature)


def test_wycheproof() -> None:
    seen = set()
    for group in vectors("wycheproof/ed25519_test.json")["testGroups"]:
        key = PublicKey(KeyType.Ed25519, bytes.fromhex(group["publicKey"]["pk"]))
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            assert key.verify(message, signature) is (case["result"] == "valid"), case["tcId"]
            seen.update(case["flags"])
    assert "SignatureMalleability" in seen


def test_a_low_order_key_signs_nothing() -> None:
    """R = A, S = 0 satisfies the equation for every message under the identity point."""
    key = PublicKey(KeyType.Ed25519, LOW_ORDER)
    assert not key.verify(b"anything", LOW_ORDER + bytes(32))
    assert not key.verify(b"", LOW_ORDER + bytes(32))


def test_libp2p_peer_ids() -> None:
    data = vectors("libp2p-peer-ids/vectors.json")
    for vector in data["keys"]:
        public, private = (bytes.fromhex(vector[f"{half}_protobuf_hex"]) for half in ("public", "private"))
        if vector["type"] not in ("ed25519", "secp256k1"):
            with pytest.raises(KeyFault):
                PublicKey.unmarshal(public)
            with pytest.raises(KeyFault, match="hash"):
                PublicKey.from_peer_id(vector["derived_peer_id_base58"])
            continue
        key = PublicKey.unmarshal(public)
        assert key.marshal() == public
        assert key.peer_id() == vector["derived_peer_id_base58"]
        assert key.cid() == vector["derived_peer_id_cidv1"]
        assert PublicKey.from_peer_id(key.peer_id()) == PublicKey.from_peer_id(key.cid()) == key
        secret = PrivateKey.unmarshal(private)
        assert secret.public == key
        assert secret.marshal() == private
    holds_a_key = data["decode_examples"][2]["text"]
    assert PublicKey.from_peer_id(holds_a_key).peer_id() == holds_a_key


@pytest.mark.parametrize("kind", [KeyType.Ed25519, KeyType.Secp256k1])
@given(message=st.binary(max_size=200), flip=st.integers(min_value=0))
def test_a_signature_is_for_one_message_by_one_key(kind: KeyType, message: bytes, flip: int) -> None:
    key, other = KEYS[kind]
    signature = key.sign(message)
    assert key.public.verify(message, signature)
    assert not key.public.verify(message + b"x", signature)
    assert not other.public.verify(message, signature)
    broken = bytearray(signature)
    broken[flip % len(broken)] ^= 1
    assert not key.public.verify(message, bytes(broken))


KEYS = {
    kind: (PrivateKey.generate(kind), PrivateKey.generate(kind))
    for kind in (KeyType.Ed25519, KeyType.Secp256k1)
}


@given(st.binary(max_size=80))
def test_hostile_signatures_never_raise(signature: bytes) -> None:
    for key, _ in KEYS.values():
        assert not key.public.verify(b"message", signature)
    for kind, like in ((KeyType.Eth, KeyType.Secp256k1), (KeyType.Cardano, KeyType.Ed25519)):
        assert not PublicKey(kind, KEYS[like][0].public.raw).verify(b"message", signature)


@pytest.mark.parametrize("kind", [KeyType.Ed25519, KeyType.Secp256k1])
def test_keys_survive_their_protobuf(kind: KeyType) -> None:
    key = PrivateKey.generate(kind)
    again = PrivateKey.unmarshal(key.marshal())
    assert again.public == key.public == PublicKey.unmarshal(key.public.marshal())
    assert again.public.verify(b"x", key.sign(b"x"))
    assert key.marshal().hex() not in repr(key)


@given(st.binary(max_size=120))
def test_what_is_no_key_is_refused(framed: bytes) -> None:
    for parse in (PublicKey.unmarshal, PrivateKey.unmarshal):
        try:
            parse(framed)
        except KeyFault:
            continue
        pytest.fail("random bytes made a key")


@pytest.mark.parametrize(
    "framed",
    [
        b"\x08\x01\x12\x20" + bytes(31),
        b"\x08\x01\x12\x20" + bytes(33),
        b"\x08\x02\x12\x21" + bytes(33),
        b"\x08\x02\x12\x21\x02" + b"\xff" * 32,
        b"\x08\x00\x12\x20" + bytes(32),
        b"\x12\x20" + bytes(32) + b"\x08\x01",
    ],
)
def test_malformed_public_keys(framed: bytes) -> None:
    with pytest.raises(KeyFault):
        PublicKey.unmarshal(framed)


def test_a_private_key_with_a_foreign_public_half_is_refused() -> None:
    key, other = KEYS[KeyType.Ed25519]
    framed = key.marshal()[:-32] + other.public.raw
    with pytest.raises(KeyFault, match="public half"):
        PrivateKey.unmarshal(framed)


def test_only_two_types_sign() -> None:
    for kind in (KeyType.Eth, KeyType.Cardano):
        with pytest.raises(KeyFault, match="unsupported key type"):
            PrivateKey.generate(kind)
    for scalar in (bytes(32), b"\xff" * 32):
        with pytest.raises(KeyFault):
            PrivateKey(KeyType.Secp256k1, scalar)


@given(st.binary(max_size=60))
def test_base58_round_trip(data: bytes) -> None:
    assert b58decode(b58encode(data)) == data


@given(st.text(max_size=40))
def test_base58_has_one_text_for_each_value(text: str) -> None:
    try:
        data = b58decode(text)
    except ValueError:
        return
    assert b58encode(data) == text


@pytest.mark.parametrize("text", ["", "0", "Qm" + "1" * 600, "b" + "a" * 30, "b$$", "12D3KooW\u00e9", "111"])
def test_what_is_no_peer_id(text: str) -> None:
    with pytest.raises(KeyFault):
        PublicKey.from_peer_id(text)

"""did:key against the public vectors, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.base58 import b58decode
from capabilities.did import DidFault, check, did_of, key_of
from capabilities.keys import KeyType, PrivateKey, PublicKey
from tests.unit.capabilities.test_keys import vectors

PREFIXES = {
    KeyType.Ed25519: "did:key:z6Mk",
    KeyType.Secp256k1: "did:key:zQ3s",
    KeyType.Eth: "did:key:zzCHUy",
    KeyType.Cardano: "did:key:zE4M",
}


@pytest.mark.parametrize("name", ["ed25519-x25519", "secp256k1"])
def test_vectors(name: str) -> None:
    kind = KeyType.Secp256k1 if name == "secp256k1" else KeyType.Ed25519
    for did, vector in vectors(f"did-key/{name}.json").items():
        key = key_of(did)
        assert key.type is kind
        assert did_of(key) == did
        if "seed" in vector and kind is KeyType.Ed25519:
            assert PrivateKey(kind, bytes.fromhex(vector["seed"])).public == key
        pair = vector["verificationKeyPair"]
        if "publicKeyBase58" in pair:
            assert key.raw == b58decode(pair["publicKeyBase58"])


@pytest.mark.parametrize("kind", KeyType)
def test_every_type_has_its_prefix(kind: KeyType) -> None:
    like = KeyType.Secp256k1 if kind is KeyType.Eth else KeyType.Ed25519
    like = KeyType.Secp256k1 if kind is KeyType.Secp256k1 else like
    for _ in range(20):
        key = PublicKey(kind, PrivateKey.generate(like).public.raw)
        assert did_of(key).startswith(PREFIXES[kind])
        assert key_of(did_of(key)) == key


@pytest.mark.parametrize(
    "did",
    [
        "did:key",
        "did:key:",
        "did::z6Mk",
        ":key:z6Mk",
        "did:key:a:b",
        "key:did:z6Mk",
        "did:key:z6Mk0",
        "did:key:m6Mk",
        "did:key:z",
        "did:web:example.org",
        "did:key:z" + "1" * 300,
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW",
        " ",
        "",
    ],
)
def test_what_names_no_key(did: str) -> None:
    with pytest.raises(DidFault):
        key_of(did)


def test_none_is_a_did_too() -> None:
    assert check("") == ""
    assert check("did:web:example.org") == "did:web:example.org"


@given(st.text(max_size=80))
def test_hostile_text_is_refused_with_a_reason(text: str) -> None:
    for candidate in (text, "did:key:" + text, "did:key:z" + text):
        with pytest.raises(DidFault) as caught:
            key_of(candidate)
        assert caught.value.detail

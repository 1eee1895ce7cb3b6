"""Wallet signatures: no wallet is on a test machine, so the wallet's side is played with the same formulas."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from capabilities.keys import KeyType, PrivateKey, PublicKey, Signer
from capabilities.wallets import ORDER, compressed, ethereum_address, keccak256
from tests.unit.capabilities.people import Wallet


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (b"hello", "1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8"),
    ],
)
def test_keccak_by_its_published_values(data: bytes, digest: str) -> None:
    assert keccak256(data).hex() == digest


def test_keccak_over_more_than_one_block() -> None:
    assert len({keccak256(bytes(size)) for size in range(130, 280)}) == 150


def test_ethereum() -> None:
    wallet = Wallet()
    key, signature = wallet.public, wallet.sign(b"hello")
    assert key.verify(b"hello", signature)
    assert not key.verify(b"hallo", signature)
    # The two kinds of key do not take each other's signatures.
    assert not key.verify(b"hello", wallet.plain.sign(b"hello"))
    assert not wallet.plain.public.verify(b"hello", signature)


def test_ethereum_as_others_sign() -> None:
    """The example of web3.js's documentation."""
    wallet = ec.derive_private_key(
        0x4C0883A69102937D6231471B5DBB6204FE5129617082792AE468D01A3F362318, ec.SECP256K1()
    )
    key = PublicKey(KeyType.Eth, compressed(wallet.public_key()))
    assert ethereum_address(key.raw) == "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
    r = 0xB91467E570A6466AA9E9876CBCD013BABA02900B8979D43FE208A4A4F339F5FD
    s = 0x6007E74CD82E037B800186422FC2DA167C747EF045E5D18A5F5D4300F8E1A029
    assert key.verify(b"Some data", encode_dss_signature(r, s))


@pytest.mark.parametrize("signer", [Wallet(), Wallet().plain], ids=["ethereum", "secp256k1"])
def test_a_signature_has_one_form(signer: Signer) -> None:
    key, good = signer.public, signer.sign(b"m")
    assert key.verify(b"m", good)
    r, s = decode_dss_signature(good)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    padded = b"\x30" + bytes([good[1] + 1, 0x02, good[3] + 1, 0]) + good[4:]
    long = b"\x30\x81" + good[1:]
    for other in (encode_dss_signature(r, ORDER - s), raw, raw + b"\x1b", padded, long, good + b"\x00", b""):
        assert not key.verify(b"m", other)
    for cut in range(len(good)):
        assert not key.verify(b"m", good[:cut])


def _cose(protected: bytes, signature: bytes, payload: bytes = b"\xf6") -> bytes:
    return b"\x84" + bytes([0x40 | len(protected)]) + protected + b"\xa0" + payload + b"\x58\x40" + signature


@pytest.mark.parametrize("size", [5, 23, 24, 255, 256, 70_000])
def test_cardano(size: int) -> None:
    wallet, message = PrivateKey.generate(), b"m" * size
    key = PublicKey(KeyType.Cardano, wallet.public.raw)
    protected = b"\xa1\x01\x27"
    if size < 24:
        head = bytes([0x40 | size])
    elif size < 256:
        head = b"\x58" + bytes([size])
    elif size < 65_536:
        head = b"\x59" + size.to_bytes(2, "big")
    else:
        head = b"\x5a" + size.to_bytes(4, "big")
    signature = wallet.sign(b"\x84\x6aSignature1\x43" + protected + b"\x40" + head + message)
    for form in (_cose(protected, signature), b"\xd2" + _cose(protected, signature)):
        assert key.verify(message, form)
        assert not key.verify(message + b"x", form)
        for cut in range(len(form)):
            assert not key.verify(message, form[:cut])
        assert not key.verify(message, form + b"\x00")


@pytest.mark.parametrize("hostile", [b"\x84" * 5000, b"\x9f\xff", b"\x84\x5b" + b"\xff" * 8, b"\x84\x40\xbb"])
def test_hostile_cbor_is_just_wrong(hostile: bytes) -> None:
    key = PublicKey(KeyType.Cardano, PrivateKey.generate().public.raw)
    assert not key.verify(b"m", hostile)
    assert not key.verify(b"m", hostile + bytes(70_000))

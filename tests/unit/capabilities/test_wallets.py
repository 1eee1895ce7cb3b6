"""Wallet signatures: no wallet is on a test machine, so the wallet's side is played with the same formulas."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from capabilities.keys import KeyType, PrivateKey, PublicKey
from capabilities.wallets import compressed, keccak256


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
    wallet = ec.generate_private_key(ec.SECP256K1())
    key = PublicKey(KeyType.Eth, compressed(wallet.public_key()))
    digest = keccak256(b"\x19Ethereum Signed Message:\n5hello")
    signature = wallet.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    assert key.verify(b"hello", signature)
    assert not key.verify(b"hallo", signature)
    plain = wallet.sign(b"hello", ec.ECDSA(hashes.SHA256()))
    assert not key.verify(b"hello", plain)


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

"""Public and private keys: signatures, libp2p's protobuf form, peer ids.

Ed25519 goes through libsodium (PyNaCl), which refuses low-order keys that other libraries accept. secp256k1
signs SHA-256 and writes DER, libp2p's convention. Ethereum and Cardano keys stand behind DIDs only: they
verify what a wallet signed and never sign here. Signatures of secp256k1 keys count in one form only: strict DER, low S.
"""

from __future__ import annotations

import hashlib
from base64 import b32decode, b32encode
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError
from nacl.utils import random as random_bytes

from capabilities import wallets
from capabilities.base58 import b58decode, b58encode
from capabilities.refusal import Refusal

_IDENTITY_MAX = 42
_TEXT_MAX = 512


class KeyType(IntEnum):
    """The numbers of libp2p's protobuf, and the reference's own two for wallets."""

    Ed25519 = 1
    Secp256k1 = 2
    Eth = 127
    Cardano = 128


_LENGTHS = {KeyType.Ed25519: 32, KeyType.Secp256k1: 33, KeyType.Eth: 33, KeyType.Cardano: 32}


class KeyFault(Refusal, ValueError):
    """The bytes or text are no key that we can use; `detail` says why."""

    def __init__(self, detail: str, hint: str = "") -> None:
        Refusal.__init__(self, "invalid_key", detail, hint=hint)


def varint(number: int) -> bytes:
    """Return `number` as an unsigned varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _framed(kind: KeyType, data: bytes) -> bytes:
    return _HEADS[kind] + varint(len(data)) + data


_HEADS = {kind: b"\x08" + varint(kind) + b"\x12" for kind in KeyType}


def _unframed(framed: bytes) -> tuple[KeyType, bytes]:
    for kind, head in _HEADS.items():
        if framed.startswith(head) and len(framed) > len(head):
            data = framed[len(head) + 1 :]
            if framed[len(head)] == len(data) < 0x80:
                return kind, data
            break
    raise KeyFault(
        "not a libp2p-protobuf key of a known type", "Types are Ed25519, secp256k1, Ethereum and Cardano."
    )


@lru_cache(maxsize=4096)
def _point(raw: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), raw)
    except ValueError:
        raise KeyFault("the bytes are not a point of secp256k1") from None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: its type and its raw bytes (32; secp256k1 and Ethereum 33, compressed)."""

    type: KeyType
    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != _LENGTHS[self.type]:
            raise KeyFault(
                f"a key of type {self.type.name} has {_LENGTHS[self.type]} bytes, not {len(self.raw)}"
            )
        if len(self.raw) == 33:
            _point(self.raw)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether `signature` is this key's over `message`. Never raises for hostile bytes."""
        if self.type is KeyType.Ed25519:
            if len(signature) != 64:
                return False
            try:
                crypto_sign_open(signature + message, self.raw)
            except CryptoError:
                return False
            return True
        if self.type is KeyType.Secp256k1:
            if not wallets.canonical(signature):
                return False
            try:
                _point(self.raw).verify(signature, message, ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                return False
            return True
        if self.type is KeyType.Eth:
            return wallets.ethereum_verify(_point(self.raw), message, signature)
        return wallets.cardano_verify(self.raw, message, signature)

    def marshal(self) -> bytes:
        """Return libp2p's protobuf of the key."""
        return _framed(self.type, self.raw)

    @classmethod
    def unmarshal(cls, framed: bytes) -> PublicKey:
        """Return the key in libp2p's protobuf `framed`; KeyFault when it holds none we know."""
        return _unmarshal(framed)

    def _multihash(self) -> bytes:
        framed = self.marshal()
        if len(framed) <= _IDENTITY_MAX:
            return b"\x00" + varint(len(framed)) + framed
        return b"\x12\x20" + hashlib.sha256(framed).digest()

    def peer_id(self) -> str:
        """Return the libp2p peer id: base58btc of the key's multihash (`12D3Koo...` for Ed25519)."""
        return b58encode(self._multihash())

    def cid(self) -> str:
        """Return the peer id as a CIDv1: codec libp2p-key, base32 (`bafzaa...`)."""
        return "b" + b32encode(b"\x01\x72" + self._multihash()).decode().rstrip("=").lower()

    @classmethod
    def from_peer_id(cls, text: str) -> PublicKey:
        """Return the key inside a peer id or its CID; KeyFault when there is only a hash of it."""
        return _of_peer_id(text)


@lru_cache(maxsize=4096)
def _unmarshal(framed: bytes) -> PublicKey:
    return PublicKey(*_unframed(framed))


@lru_cache(maxsize=4096)
def _of_peer_id(text: str) -> PublicKey:
    if not 0 < len(text) <= _TEXT_MAX:
        raise KeyFault("a peer id is needed", "12D3Koo... or a CID of codec libp2p-key.")
    try:
        if text.startswith("b"):
            data = b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))
            if not data.startswith(b"\x01\x72"):
                raise KeyFault("the CID is not of codec libp2p-key")
            data = data[2:]
        else:
            data = b58decode(text)
    except ValueError as error:
        raise KeyFault(f"not a peer id: {error}") from None
    if data[:1] != b"\x00" or len(data) < 2 or data[1] != len(data) - 2:
        raise KeyFault("the peer id holds a hash, not the key", "Ed25519 and secp256k1 ids do.")
    return _unmarshal(data[2:])


class Signer(Protocol):
    """Whatever signs with one key: a private key in memory, or a device that keeps it."""

    @property
    def public(self) -> PublicKey:
        """The public half."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`; Refusal when it is not to be had."""


class PrivateKey:
    """A private key that signs: Ed25519 (`raw` is the 32-byte seed) or secp256k1 (the 32-byte scalar)."""

    __slots__ = ("_secret", "public", "type")

    def __init__(self, kind: KeyType, raw: bytes) -> None:
        if len(raw) != 32:
            raise KeyFault(f"a private key has 32 bytes, not {len(raw)}")
        self._secret: bytes | ec.EllipticCurvePrivateKey
        if kind is KeyType.Ed25519:
            public, self._secret = crypto_sign_seed_keypair(raw)
        elif kind is KeyType.Secp256k1:
            try:
                self._secret = ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256K1())
            except ValueError:
                raise KeyFault("the scalar is outside the group of secp256k1") from None
            public = wallets.compressed(self._secret.public_key())
        else:
            raise KeyFault("unsupported key type", "Only Ed25519 and secp256k1 keys sign.")
        self.type = kind
        self.public = PublicKey(kind, public)

    def __repr__(self) -> str:
        return f"PrivateKey({self.type.name}, public={self.public.peer_id()})"

    @classmethod
    def generate(cls, kind: KeyType = KeyType.Ed25519) -> Self:
        """Return a fresh key."""
        while True:
            raw = random_bytes(32)
            if kind is not KeyType.Secp256k1 or 0 < int.from_bytes(raw, "big") < wallets.ORDER:
                return cls(kind, raw)

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`: 64 raw bytes, or DER with a low S for secp256k1."""
        if isinstance(self._secret, bytes):
            return crypto_sign(message, self._secret)[:64]
        r, s = decode_dss_signature(self._secret.sign(message, ec.ECDSA(hashes.SHA256())))
        return encode_dss_signature(r, min(s, wallets.ORDER - s))

    def marshal(self) -> bytes:
        """Return libp2p's protobuf of the private key. Handle like the key itself."""
        if isinstance(self._secret, bytes):
            return _framed(self.type, self._secret)
        return _framed(self.type, self._secret.private_numbers().private_value.to_bytes(32, "big"))

    @classmethod
    def unmarshal(cls, framed: bytes) -> Self:
        """Return the key in libp2p's protobuf; KeyFault when it holds none, or its halves do not match."""
        kind, data = _unframed(framed)
        if kind is not KeyType.Ed25519:
            return cls(kind, data)
        # 96 bytes: an older libp2p form that repeats the public half.
        if len(data) not in (64, 96) or data[32:64] != data[-32:]:
            raise KeyFault("an Ed25519 private key is its seed followed by its public half")
        key = cls(kind, data[:32])
        if key.public.raw != data[32:64]:
            raise KeyFault("the public half of the key does not belong to its seed")
        return key

"""Verifying what wallets signed: Ethereum's personal messages and Cardano's COSE_Sign1.

Both come from outside signers (a Ledger, a browser wallet) and only ever verify here.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1's group
_DER_MAX = 72
_MASK = (1 << 64) - 1
_RATE = 136
_COSE_MAX = 65_536


def compressed(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the 33 bytes of a point."""
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def compressed_of(raw: bytes) -> bytes:
    """Return the 33 bytes of a point of secp256k1 given in 33 or 65; ValueError for anything else."""
    return compressed(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), raw))


def canonical(signature: bytes) -> bool:
    """Return whether `signature` is strict DER with the lower of the two S: each signature has one form only."""
    if len(signature) > _DER_MAX:
        return False
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return False
    return 0 < r < ORDER and 0 < s <= ORDER // 2 and encode_dss_signature(r, s) == signature


def _round_constants() -> tuple[int, ...]:
    """Derive iota's constants from the 8-bit shift register that the specification defines them by."""
    constants, register = [], 1
    for _ in range(24):
        word = 0
        for power in range(7):
            if register & 1:
                word |= 1 << ((1 << power) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(word)
    return tuple(constants)


def _moves() -> tuple[tuple[int, int, int, int], ...]:
    """Return rho and pi, for each lane in its new place: where it comes from, its column, and its turn both ways."""
    offsets, x, y = {(0, 0): 0}, 1, 0
    for step in range(24):
        offsets[x, y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    moves = {}
    for (x, y), offset in offsets.items():
        moves[y + 5 * ((2 * x + 3 * y) % 5)] = (x + 5 * y, x, offset, 64 - offset)
    return tuple(moves[lane] for lane in range(25))


_CONSTANTS = _round_constants()
_MOVES = _moves()
_NEXT = tuple((lane, lane // 5 * 5 + (lane + 1) % 5, lane // 5 * 5 + (lane + 2) % 5) for lane in range(25))


def _permute(a: list[int]) -> list[int]:
    # Written for speed: whoever sends a token decides how much is hashed.
    for constant in _CONSTANTS:
        v, w, x, y, z = [a[i] ^ a[i + 5] ^ a[i + 10] ^ a[i + 15] ^ a[i + 20] for i in (0, 1, 2, 3, 4)]
        mixed = (
            z ^ (w << 1 & _MASK | w >> 63),
            v ^ (x << 1 & _MASK | x >> 63),
            w ^ (y << 1 & _MASK | y >> 63),
            x ^ (z << 1 & _MASK | z >> 63),
            y ^ (v << 1 & _MASK | v >> 63),
        )
        b = [
            (lane := a[source] ^ mixed[column]) << left & _MASK | lane >> right
            for source, column, left, right in _MOVES
        ]
        a = [b[i] ^ (~b[j] & b[k]) for i, j, k in _NEXT]
        a[0] ^= constant
    return a


def keccak256(data: bytes) -> bytes:
    """Return Keccak-256 with the original padding, which hashlib's SHA3 does not offer."""
    padded = bytearray(data + b"\x01" + bytes(-(len(data) + 1) % _RATE))
    padded[-1] |= 0x80
    lanes = [0] * 25
    for block in struct.iter_unpack("<17Q", padded):
        lanes[:17] = [lane ^ word for lane, word in zip(lanes, block, strict=False)]
        lanes = _permute(lanes)
    return struct.pack("<4Q", *lanes[:4])


def ethereum_address(raw: bytes) -> str:
    """Return the address of the key `raw` (33 bytes), its letters' case telling mistakes (EIP-55)."""
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), raw)
    digits = keccak256(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:])[-20:].hex()
    check = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if c >= "8" else d for d, c in zip(digits, check, strict=False))


def ethereum_verify(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """Return whether DER `signature` is the key's over `message` as a personal message."""
    if not canonical(signature):
        return False
    digest = keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
    try:
        key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return a CBOR head: major type, argument, and where it ends; ValueError when cut or indefinite."""
    major, info = data[at] >> 5, data[at] & 31
    if info < 24:
        return major, info, at + 1
    size = {24: 1, 25: 2, 26: 4}.get(info)
    if size is None or at + 1 + size > len(data):
        raise ValueError("CBOR head")
    return major, int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def _skip(data: bytes, at: int, depth: int = 0) -> int:
    """Return where the CBOR item at `at` ends."""
    major, argument, at = _head(data, at)
    if depth > 8:
        raise ValueError("CBOR too deep")
    if major in (2, 3):
        at += argument
    elif major in (4, 5, 6):
        for _ in range(argument * {4: 1, 5: 2}.get(major, 0) + (major == 6)):
            at = _skip(data, at, depth + 1)
    if at > len(data):
        raise ValueError("CBOR cut")
    return at


def _byte_string(data: bytes, at: int) -> tuple[bytes, int]:
    major, size, start = _head(data, at)
    if major != 2 or start + size > len(data):
        raise ValueError("CBOR byte string")
    return data[start : start + size], start + size


def _bytes_item(data: bytes) -> bytes:
    size = len(data)
    if size < 24:
        return bytes([0x40 | size]) + data
    if size < 256:
        return b"\x58" + bytes([size]) + data
    if size < 65_536:
        return b"\x59" + size.to_bytes(2, "big") + data
    return b"\x5a" + size.to_bytes(4, "big") + data


def cardano_verify(raw: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature`, a COSE_Sign1 array, is the Ed25519 key `raw`'s over `message`."""
    if len(signature) > _COSE_MAX:
        return False
    try:
        at = 1 if signature[:1] == b"\xd2" else 0
        if signature[at] != 0x84:
            return False
        protected, at = _byte_string(signature, at + 1)
        at = _skip(signature, at)
        at = _skip(signature, at)
        raw_signature, at = _byte_string(signature, at)
    except (IndexError, ValueError):
        return False
    if at != len(signature) or len(raw_signature) != 64:
        return False
    structure = b"\x84\x6aSignature1" + _bytes_item(protected) + _bytes_item(b"") + _bytes_item(message)
    try:
        crypto_sign_open(raw_signature + structure, raw)
    except CryptoError:
        return False
    return True

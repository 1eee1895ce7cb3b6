"""Verifying what wallets signed: Ethereum's personal messages and Cardano's COSE_Sign1.

Both come from outside signers (a Ledger, a browser wallet) and only ever verify here.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

_MASK = (1 << 64) - 1
_RATE = 136
_COSE_MAX = 65_536


def compressed(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the 33 bytes of a point."""
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _turn(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & _MASK if by else word


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


def _rotations() -> dict[tuple[int, int], int]:
    """Walk rho's path through the lanes; lane (0, 0) stays where it is."""
    offsets, x, y = {(0, 0): 0}, 1, 0
    for step in range(24):
        offsets[x, y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return offsets


_CONSTANTS = _round_constants()
_OFFSETS = _rotations()


def _permute(lanes: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    for constant in _CONSTANTS:
        parity = [lanes[x, 0] ^ lanes[x, 1] ^ lanes[x, 2] ^ lanes[x, 3] ^ lanes[x, 4] for x in range(5)]
        mixed = [parity[x - 1] ^ _turn(parity[(x + 1) % 5], 1) for x in range(5)]
        moved = {
            (y, (2 * x + 3 * y) % 5): _turn(lane ^ mixed[x], _OFFSETS[x, y]) for (x, y), lane in lanes.items()
        }
        lanes = {
            (x, y): lane ^ (~moved[(x + 1) % 5, y] & moved[(x + 2) % 5, y]) for (x, y), lane in moved.items()
        }
        lanes[0, 0] ^= constant
    return lanes


def keccak256(data: bytes) -> bytes:
    """Return Keccak-256 with the original padding, which hashlib's SHA3 does not offer."""
    padded = bytearray(data + b"\x01" + bytes(-(len(data) + 1) % _RATE))
    padded[-1] |= 0x80
    lanes = {(x, y): 0 for y in range(5) for x in range(5)}
    for start in range(0, len(padded), _RATE):
        for index in range(_RATE // 8):
            word = int.from_bytes(padded[start + 8 * index : start + 8 * index + 8], "little")
            lanes[index % 5, index // 5] ^= word
        lanes = _permute(lanes)
    return b"".join(lanes[x, 0].to_bytes(8, "little") for x in range(4))


def ethereum_verify(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """Return whether DER `signature` is the key's over `message` as a personal message."""
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

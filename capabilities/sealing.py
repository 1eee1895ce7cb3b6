"""Seals of the audit log: chained batches of entries, so that nobody alters, removes or inserts one unseen. Pure.

An entry's *leaf* is a digest of all that it says. A seal holds the leaves of its entries in the order of their ids,
and is signed by the node over its number, the digest of the seal before it, and the leaves. A leaf stays when the entry
itself has gone with its age, so that what has gone is told from what was removed.

What no chain can show is that its end has been cut off: keep the digest of the last seal somewhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEAF_BYTES = 16
_PREFIX = b"dms:audit-seal:1:"
_ID_BYTES = 8


def leaf(entry: Mapping[str, Any]) -> bytes:
    """Return the digest of an entry: its id, and everything that it says, in canonical JSON."""
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()[:LEAF_BYTES]


def pack(leaves: Iterable[tuple[int, bytes]]) -> bytes:
    """Return ids and leaves as one run of bytes."""
    return b"".join(number.to_bytes(_ID_BYTES, "big") + mark for number, mark in leaves)


def unpack(packed: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield what `pack` packed. ValueError when it is cut."""
    size = _ID_BYTES + LEAF_BYTES
    if len(packed) % size:
        raise ValueError("the leaves of a seal are cut")
    for at in range(0, len(packed), size):
        yield int.from_bytes(packed[at : at + _ID_BYTES], "big"), packed[at + _ID_BYTES : at + size]


def digest(number: int, previous: str, packed: bytes) -> str:
    """Return the digest of a seal in hex; `previous` is that of the one before, empty for the first."""
    head = number.to_bytes(_ID_BYTES, "big") + bytes.fromhex(previous)
    return hashlib.sha256(head + packed).hexdigest()


def signed_bytes(value: str) -> bytes:
    """Return what the node signs."""
    return _PREFIX + bytes.fromhex(value)


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal as it is kept. `signed`: whether the node's signature over the digest is good."""

    number: int
    previous: str
    packed: bytes
    digest: str
    signed: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: the seal's number, and the entry's id (0: the seal itself)."""

    what: str
    seal: int
    entry: int = 0


def chain_faults(seals: Sequence[Seal], previous: str = "", expected: int = 1) -> Iterator[Fault]:
    """Yield what is wrong with consecutive seals; `previous` and `expected` say what came before them."""
    for seal in seals:
        if seal.number != expected:
            yield Fault(f"the seals {expected} to {seal.number - 1} are missing", seal.number)
        elif seal.previous != previous:
            yield Fault("it does not follow the seal before it", seal.number)
        if seal.digest != digest(seal.number, seal.previous, seal.packed):
            yield Fault("its digest is not that of its content", seal.number)
        if not seal.signed:
            yield Fault("it is not signed by this node", seal.number)
        previous, expected = seal.digest, seal.number + 1


def entry_faults(seal: Seal, found: Mapping[int, bytes], gone_until: int) -> Iterator[Fault]:
    """Yield what is wrong with the entries of a seal. `found`: the leaves of the entries that say they belong to it;
    what has an id up to `gone_until` may have gone with its age.
    """
    try:
        sealed = dict(unpack(seal.packed))
    except ValueError as error:
        yield Fault(str(error), seal.number)
        return
    for number, mark in sealed.items():
        if number not in found:
            if number > gone_until:
                yield Fault("the entry has been removed", seal.number, number)
        elif found[number] != mark:
            yield Fault("the entry has been altered", seal.number, number)
    for number in found.keys() - sealed.keys():
        yield Fault("the entry has been inserted", seal.number, number)

"""10,000 random handles, envelopes and tokens serialise byte for byte as Go's encoding/json does."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from capabilities.gojson import UINT64_MAX, dumpb, loads, quote
from capabilities.keys import KeyType, PrivateKey, PublicKey
from capabilities.tokens import Token
from node.envelope import Envelope
from node.handle import EMPTY, Handle
from tests.interop.conftest import Speak

COUNT = 10_000
MAX_BYTES = 1 << 20
PIECES = [
    *(
        "a",
        "/",
        "dms",
        "<",
        ">",
        "&",
        '"',
        "\\",
        "\u2028",
        "\u2029",
        "é",
        "\U0001f600",
        "\ufffd",
        "\ufeff",
        "\x7f",
    ),
    *(
        "\0",
        "\b",
        "\f",
        "\n",
        "\r",
        "\t",
        "\x1f",
        "\\u2028",
        "\\ud800",
        "\u0085",
        "\ud7ff",
        "\ue000",
        " ",
        "'",
    ),
]
SECP256K1 = [PrivateKey.generate(KeyType.Secp256k1).public for _ in range(20)]


def text(rng: random.Random, most: int = 8) -> str:
    return "".join(rng.choices(PIECES, k=rng.randrange(most)))


def number(rng: random.Random) -> int:
    return rng.choice([0, 1, 2**53, 2**53 + 1, 2**63, UINT64_MAX, rng.randrange(UINT64_MAX)])


def did(rng: random.Random) -> str:
    return "did:key:z" + text(rng).replace(":", "")


def handle(rng: random.Random) -> Handle:
    if rng.random() < 0.2:
        return EMPTY
    key = rng.choice([None, PublicKey(KeyType.Ed25519, rng.randbytes(32)), rng.choice(SECP256K1)])
    return Handle(key, rng.choice(["", did(rng)]), text(rng), text(rng))


def envelope(rng: random.Random) -> Envelope:
    return Envelope(
        handle(rng),
        text(rng),
        handle(rng),
        number(rng),
        number(rng),
        text(rng),
        text(rng),
        rng.choice([None, b"", rng.randbytes(rng.randrange(100))]),
        rng.choice([b"", rng.randbytes(rng.randrange(100))]),
        rng.choice([b"", rng.randbytes(64)]),
    )


def paths(rng: random.Random, prefix: str) -> tuple[str, ...]:
    return tuple(prefix + text(rng) + "x" for _ in range(rng.randrange(4)))


def token(rng: random.Random, links: int = 5) -> Token:
    capabilities = paths(rng, "/")
    return Token(
        rng.choice(["invoke", "delegate", "broadcast", "revoke"]),
        did(rng) + "s",
        did(rng) + "s",
        rng.choice(["", did(rng) + "s"]),
        paths(rng, ""),
        capabilities,
        rng.randbytes(12),
        number(rng),
        number(rng),
        token(rng, links - 1) if links > 1 and rng.random() < 0.6 else None,
        rng.choice([b"", rng.randbytes(64)]),
        capabilities_null=not capabilities and rng.random() < 0.5,
    )


WRITE: dict[
    str, tuple[Callable[[random.Random], object], Callable[[bytes], object], Callable[[object], bytes]]
] = {
    "handle": (
        handle,
        lambda data: Handle.parse(loads(data, max_bytes=MAX_BYTES)),
        lambda value: value.text().encode(),  # type: ignore[attr-defined]
    ),
    "envelope": (envelope, Envelope.parse, lambda value: value.to_json()),  # type: ignore[attr-defined]
    "token": (
        token,
        lambda data: Token.parse(loads(data, max_bytes=MAX_BYTES)),
        lambda value: value.text().encode(),  # type: ignore[attr-defined]
    ),
}


@pytest.mark.parametrize("kind", WRITE)
def test_go_writes_what_we_wrote(go: Speak, kind: str) -> None:
    make, parse, write = WRITE[kind]
    rng = random.Random(f"ours {kind}")
    values = [make(rng) for _ in range(COUNT)]
    ours = [write(value) for value in values]
    for value, mine, theirs in zip(values, ours, go((kind, data) for data in ours), strict=True):
        assert mine == theirs
        assert parse(theirs) == value


@pytest.mark.parametrize("kind", WRITE)
def test_we_write_what_go_wrote(go: Speak, kind: str) -> None:
    _, parse, write = WRITE[kind]
    seeds = [(f"make-{kind}", str(seed).encode()) for seed in range(COUNT)]
    for theirs in go(seeds):
        assert write(parse(theirs)) == theirs


@pytest.mark.parametrize("kind", WRITE)
def test_the_json_value_is_the_text(kind: str) -> None:
    make, _, write = WRITE[kind]
    rng = random.Random(f"document {kind}")
    for _ in range(500):
        value = make(rng)
        assert dumpb(value.document()) == write(value)  # type: ignore[attr-defined]


def test_go_strings_that_are_no_text(go: Speak) -> None:
    rng = random.Random("bytes")
    hostile = [
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xc0\xaf",
        b"\xe2\x80\xa8",
        b"ok\xf8ok",
    ]
    raw = hostile + [rng.randbytes(rng.randrange(20)) for _ in range(COUNT)]
    for data, theirs in zip(raw, go(("string", data) for data in raw), strict=True):
        assert quote(data.decode("utf-8", "surrogateescape")).encode() == theirs


def test_reading_what_is_no_text(go: Speak) -> None:
    """Bytes that are not UTF-8 and lone surrogates become U+FFFD, each as often as in Go."""
    rng = random.Random("broken")
    escapes = [
        "\\ud800",
        "\\udc00",
        "\\ud83d\\ude00",
        "\\uD83D",
        "\\ude00\\ud83d",
        "\\u2028",
        "\\u003c",
        "x",
        "\\/",
    ]
    bodies = []
    for _ in range(COUNT):
        chunks = [rng.choice(escapes).encode() for _ in range(rng.randrange(5))]
        chunks += [bytes(b for b in rng.randbytes(rng.randrange(6)) if b >= 0x80)]
        rng.shuffle(chunks)
        bodies.append(b'{"to":{},"be":"' + b"".join(chunks) + b'","from":{},"msg":null}')
    for body, theirs in zip(bodies, go(("envelope", body) for body in bodies), strict=True):
        assert Envelope.parse(body).to_json() == theirs


def test_member_names_in_any_case(go: Speak) -> None:
    rng = random.Random("case")
    bodies = []
    for _ in range(500):
        body = replace(
            envelope(rng), behavior="/dms", reply_to="", topic="", to=EMPTY, sender=EMPTY
        ).to_json()
        bodies.append(body.replace(b'"msg"', b'"Msg"').replace(b'"be"', b'"BE"').replace(b'"exp"', b'"eXp"'))
    for body, theirs in zip(bodies, go(("envelope", body) for body in bodies), strict=True):
        assert Envelope.parse(body).to_json() == theirs

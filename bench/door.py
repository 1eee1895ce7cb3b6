"""Signed envelopes through the door, their nonces kept durably on SQLite, against the bare work in them."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.result import Result

if TYPE_CHECKING:
    from node.envelope import Envelope

BAR_PER_S = 1_000.0
MESSAGES = 3_000
ROUNDS = 3
PATH = "/public/hello"


def run() -> list[Result]:
    """Measure the rate of one process, best of three rounds; the bar is messages per second."""
    with tempfile.TemporaryDirectory(prefix="dms-bench-door-") as folder:
        _site(Path(folder))
        best, floor = 0.0, 0.0
        for _ in range(ROUNDS):
            messages = _messages(MESSAGES)
            best = max(best, _rate(messages))
            floor = max(floor, _floor(messages, Path(folder)))
        from node import actor

        actor.stop()
    return [Result("door", best, floor, "envelopes/s", BAR_PER_S, best >= BAR_PER_S)]


def _site(folder: Path) -> None:
    """Make a site in `folder` and trust one sender."""
    import os

    os.environ["DMS_HOME"] = str(folder)
    from dmsweb.prepare import prepare

    prepare(lambda text: None)


def _messages(count: int) -> list[bytes]:
    """Return envelopes of a sender with a token of the node, as bytes from the wire."""
    from capabilities import custody, tokens
    from capabilities.did import did_of
    from capabilities.keys import PrivateKey
    from node.envelope import compose
    from node.handle import Handle

    key, node = PrivateKey.generate(), custody.node_key()
    now = time.time_ns()
    token = tokens.issue(
        node,
        action="invoke",
        subject=did_of(key.public),
        capabilities=[PATH],
        expires_ns=now + 10**12,
    )
    carried = tokens.TokenList((token,)).encode()
    sender, to = Handle.of_key(key.public, "bench"), Handle.of_key(node.public)
    return [
        compose(
            to=to,
            behavior=PATH,
            sender=sender,
            payload=None,
            nonce=now + number,
            now_ns=now,
            timeout_s=300,
            reply_to="/private/user/1",
            capabilities=carried,
        )
        .sign(key)
        .to_json()
        for number in range(count)
    ]


def _rate(messages: list[bytes]) -> float:
    from node.door import receive

    begun = time.perf_counter()
    for message in messages:
        reply = receive(message)
        assert reply is not None
        assert b"urn:dms:problem" not in (reply.message or b"")
    return len(messages) / (time.perf_counter() - begun)


def _floor(messages: list[bytes], folder: Path) -> float:
    """Return the rate of what no door can leave out: verify, insert the nonce, sign a reply."""
    from nacl.signing import SigningKey, VerifyKey

    from node.envelope import Envelope

    parsed: list[Envelope] = [Envelope.parse(message) for message in messages]
    work = [
        (envelope.signed_bytes(), envelope.signature, envelope.sender.public_key, envelope.nonce)
        for envelope in parsed
    ]
    own = SigningKey.generate()
    database = sqlite3.connect(folder / f"floor-{time.time_ns()}.sqlite3", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, expires_ns INTEGER)")
    begun = time.perf_counter()
    for signed, signature, key, nonce in work:
        assert key is not None
        VerifyKey(key.raw).verify(signed, signature)
        database.execute("INSERT INTO seen VALUES (?, ?)", (str(nonce), nonce))
        own.sign(signed)
    rate = len(work) / (time.perf_counter() - begun)
    database.close()
    return rate


if __name__ == "__main__":
    for result in run():
        sys.stdout.write(f"{result.document()}\n")

"""Hostile bytes for a minute: envelopes and tokens that are nearly right, read as the door reads them.

Every input is a good message of this run with some of it changed: bits, slices, numbers, names, nesting, encodings. It
must be read, or refused with a reason; nothing else may be raised, none may take more than 50 ms of CPU, and memory
must not grow. `ours` is the slowest in milliseconds, the floor the slowest of the good messages. DMS_BENCH_SEED says
what is drawn, DMS_FUZZ_S for how long.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from bench.envelope import _World
from bench.result import Result
from capabilities.refusal import Refusal
from capabilities.tokens import TokenList, verify
from node.envelope import Envelope

SECONDS = 60.0
BAR_MS = 50.0
GROWTH_MAX_BYTES = 48 << 20
WORDS = (
    b"null", b"-1", b"1e999", b"18446744073709551616", b"0.5", b"[]", b"{}", b'""', b"true", b"NaN",
    b'"\\ud800"', b'"\\u0000"', b"\xff\xfe", b"\x00", b'"did:key:z"', b'"did:key:z6Mk"', b'{"uri":1}',
    b'{"dms":{}}', b'{"ucan":{}}', b'{"tok":[{}]}', b'"act":"revoke",', b'"exp":1,"exp":2,', b'"depth":-1,',
    b"[" * 400, b'{"chain":' * 60, b'"' + b"A" * 5000 + b'"', b"==", b'"%%%"', b"9" * 4000,
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What a run saw. `crashes`: the exceptions that are no refusals, with the input that raised them."""

    inputs: int = 0
    accepted: int = 0
    slowest_ms: float = 0.0
    slowest_good_ms: float = 0.0
    grown_bytes: int = 0
    crashes: list[tuple[str, bytes]] = field(default_factory=list)


class Fuzzer:
    """Draws inputs from a seed and reads them."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._world = _World()
        messages = [self._world.message() for _ in range(20)]
        blobs = [bytes(Envelope.parse(message).capabilities or b"{}") for message in messages]
        self._readers: tuple[tuple[Callable[[bytes], object], list[bytes]], ...] = (
            (self._message, messages),
            (self._tokens, blobs),
        )

    def run(self, *, seconds: float = 0.0, inputs: int = 0) -> Outcome:
        """Read inputs for so long, or so many."""
        outcome = Outcome()
        for reader, good in self._readers:
            for data in good:
                outcome.slowest_good_ms = max(outcome.slowest_good_ms, self._read(reader, data, outcome))
        outcome.inputs = outcome.accepted = 0
        process = psutil.Process()
        ends_at = time.monotonic() + seconds
        settled = 0
        while outcome.inputs < inputs or (not inputs and time.monotonic() < ends_at):
            reader, good = self._draw.choice(self._readers)
            taken = self._read(reader, self._spoilt(self._draw.choice(good)), outcome)
            outcome.slowest_ms = max(outcome.slowest_ms, taken)
            if not settled and outcome.inputs >= (inputs // 4 or 5_000):
                settled = process.memory_info().rss
        outcome.grown_bytes = max(0, process.memory_info().rss - settled) if settled else 0
        return outcome

    def _read(self, reader: Callable[[bytes], object], data: bytes, outcome: Outcome) -> float:
        outcome.inputs += 1
        begun = time.thread_time()
        try:
            reader(data)
            outcome.accepted += 1
        except Refusal:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            if len(outcome.crashes) < 20:
                outcome.crashes.append((f"{type(error).__name__}: {error}"[:300], data))
        return (time.thread_time() - begun) * 1000

    def _message(self, data: bytes) -> None:
        envelope = Envelope.parse(data)
        envelope.check_expiry(self._world.now_ns)
        envelope.verify()
        sender, wanted = envelope.sender, (envelope.behavior,)
        context, now_ns = self._world.context, self._world.now_ns
        blob = envelope.capabilities
        if envelope.broadcast:
            context.admit_broadcast(sender.did, sender.id_did, envelope.topic, wanted, blob, now_ns)
        else:
            context.admit(sender.did, sender.id_did, self._world.did, wanted, blob, now_ns)

    def _tokens(self, data: bytes) -> None:
        for token in TokenList.parse(data).tokens:
            verify(token, now_ns=self._world.now_ns)
        TokenList.salvage(data)

    def _spoilt(self, data: bytes) -> bytes:
        draw = self._draw
        for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
            at, to = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
            way = draw.randrange(7)
            if way == 0 and data:  # a bit
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
            elif way == 1:  # cut
                data = data[:at]
            elif way == 2:  # a slice again
                data = data[:to] + data[at : min(to, at + 2000)] + data[to:]
            elif way == 3:  # a slice gone
                data = data[:at] + data[min(to, at + 40) :]
            elif way == 4:  # a word put in
                data = data[:at] + draw.choice(WORDS) + data[at:]
            elif way == 5:  # a value replaced
                data = self._replaced(data)
            else:  # random bytes
                data = data[:at] + draw.randbytes(draw.randrange(1, 64)) + data[at:]
        return data

    def _replaced(self, data: bytes) -> bytes:
        """Put a word where a member's value was."""
        found = [at for at, letter in enumerate(data) if letter == 0x3A]  # a colon
        if not found:
            return data
        at = self._draw.choice(found) + 1
        end = min(
            (place for mark in b",}]" if (place := data.find(bytes([mark]), at)) >= 0), default=len(data)
        )
        return data[:at] + self._draw.choice(WORDS) + data[end:]


def run() -> list[Result]:
    """Read hostile bytes for a minute."""
    seed = int(os.environ.get("DMS_BENCH_SEED", "1"))
    seconds = float(os.environ.get("DMS_FUZZ_S", SECONDS))
    outcome = Fuzzer(seed).run(seconds=seconds)
    for said, data in outcome.crashes:
        print(f"{said}\n  {data!r}", file=sys.stderr)
    grown = outcome.grown_bytes / (1 << 20)
    print(f"{outcome.inputs} inputs, {outcome.accepted} accepted, {grown:.1f} MiB grown", file=sys.stderr)
    good = not outcome.crashes and outcome.slowest_ms < BAR_MS and outcome.grown_bytes < GROWTH_MAX_BYTES
    return [Result("fuzz", outcome.slowest_ms, outcome.slowest_good_ms, "ms (slowest)", BAR_MS, good)]

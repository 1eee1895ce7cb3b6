"""Another site, as far as this one can tell: a key, an address, and signed answers, in place of the transport."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from capabilities import tokens
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.refusal import Refusal
from node.addresses import AddressRecord
from node.envelope import Envelope
from node.handle import Handle
from node.outside import OUTSIDE

NS = 1_000_000_000
ADDRESS = "http://127.0.0.1:7"


@dataclass
class Other:
    """`answer` gets each envelope and returns the payload of the reply, or raises what the door would."""

    answer: Callable[[Envelope], Any] = lambda envelope: {}
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    name: str = "there"
    clock_ahead_ns: int = 0
    seen: list[Envelope] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    @property
    def did(self) -> str:
        return did_of(self.key.public)

    @property
    def actor(self) -> Handle:
        return Handle.of_key(self.key.public)

    def now_ns(self) -> int:
        return time.time_ns() + self.clock_ahead_ns

    def record(self, **changes: Any) -> AddressRecord:
        found: dict[str, Any] = {"name": self.name, "peers": {}, "addresses": [ADDRESS]} | changes
        return AddressRecord.issue(self.key, now_ns=self.now_ns(), **found)

    def token(self, subject: str, *paths: str, action: str = "delegate", **more: Any) -> tokens.Token:
        more.setdefault("expires_ns", time.time_ns() + 3600 * NS)
        return tokens.issue(self.key, action=action, subject=subject, capabilities=paths, **more)

    def carry(self, envelope: bytes, address: str, verb: str, timeout_s: float) -> bytes:
        if self.failures:
            raise self.failures.pop(0)
        found = Envelope.parse(envelope)
        found.verify()
        self.seen.append(found)
        try:
            found.check_expiry(self.now_ns())
            payload = self.answer(found)
        except Refusal as refusal:
            payload = refusal.problem()
        reply = found.reply(payload, nonce=time.time_ns(), source=self.actor).sign(self.key)
        return b"[" + reply.to_json() + b"]" if verb == "broadcast" else reply.to_json()

    def handle(self, address: str, timeout_s: float) -> bytes:
        return json.dumps(self.actor.document()).encode()


@contextmanager
def reachable(other: Other) -> Iterator[Other]:
    """Put `other` behind every http address."""
    kept = OUTSIDE.transports
    OUTSIDE.transports = {**kept, "http": other, "https": other}
    try:
        yield other
    finally:
        OUTSIDE.transports = kept

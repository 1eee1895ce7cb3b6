"""Parse, verify and authorise one envelope with a 3-link chain, against bare PyNaCl verifications.

The floor is one `VerifyKey.verify` over the very bytes that the envelope's signature covers. A known chain needs
that one verification; an unknown one needs four (the envelope and three tokens), hence its floor is a quarter of
the rate. Unknown means: every token of the chain is seen for the first time, from parties that are not. Floor and
measurement alternate in short rounds, and the median of the rounds counts, so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from nacl.signing import VerifyKey

from bench.result import Result
from capabilities.context import KNOWN_CHAINS, CapabilityContext
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.tokens import TokenList, issue
from node.envelope import Envelope, compose
from node.handle import Handle

KNOWN_BAR, UNKNOWN_BAR = 0.4, 0.6
ROUNDS, BATCH = 15, 100
_BEHAVIOR = "/dms/node/resources/free"


class _World:
    """A node that accepts what an organisation delegates, and a caller two delegations away from it."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()
        self.until_ns = self.now_ns + 3_600 * 1_000_000_000
        self.node, self.organisation = PrivateKey.generate(), PrivateKey.generate()
        self.unit, self.caller, self.actor = (PrivateKey.generate() for _ in range(3))
        self.did, self.handle = did_of(self.node.public), Handle.of_key(self.node.public)
        require = issue(
            self.node,
            action="delegate",
            subject=did_of(self.organisation.public),
            capabilities=["/dms"],
            expires_ns=self.until_ns + 1,
        )
        self.context = CapabilityContext(self.did, require=[require])

    def message(self) -> bytes:
        """Return a signed message with three tokens made for it alone."""
        unit, caller, actor = self.unit, self.caller, self.actor
        first = issue(
            self.organisation,
            action="delegate",
            subject=did_of(unit.public),
            capabilities=["/dms"],
            expires_ns=self.until_ns,
        )
        second = issue(
            unit,
            action="delegate",
            subject=did_of(caller.public),
            capabilities=["/dms/node"],
            expires_ns=self.until_ns,
            chain=first,
        )
        third = issue(
            caller,
            action="invoke",
            subject=did_of(actor.public),
            audience=self.did,
            capabilities=[_BEHAVIOR],
            expires_ns=self.until_ns,
            chain=second,
        )
        sender = Handle(actor.public, did_of(caller.public), actor.public.peer_id(), "user-1")
        envelope = compose(
            to=self.handle,
            behavior=_BEHAVIOR,
            sender=sender,
            payload={"note": "x" * 64},
            nonce=self.now_ns,
            now_ns=self.now_ns,
            reply_to=f"/dms/actor/replyto/{self.now_ns}",
            capabilities=TokenList((third,)).encode(),
        )
        return envelope.sign(actor).to_json()

    def accept(self, data: bytes) -> None:
        """Do everything the door does before dispatch, short of the nonce."""
        envelope = Envelope.parse(data)
        if envelope.to != self.handle:
            raise AssertionError("the message is for somebody else")
        envelope.check_expiry(self.now_ns)
        envelope.verify()
        decision = self.context.admit(
            envelope.sender.did,
            envelope.sender.id_did,
            self.did,
            (envelope.behavior,),
            envelope.capabilities,
            self.now_ns,
        )
        if not decision.allowed:
            raise AssertionError(decision.why)


def _per_second(action: Callable[[], None], times: int) -> float:
    start = time.perf_counter()
    action()
    return times / (time.perf_counter() - start)


def _floor(data: bytes) -> Callable[[], None]:
    envelope = Envelope.parse(data)
    key = envelope.sender.public_key
    if key is None:
        raise AssertionError("the message names no sender")
    verify, signed, signature = VerifyKey(key.raw).verify, envelope.signed_bytes(), envelope.signature

    def run() -> None:
        for _ in range(BATCH):
            verify(signed, signature)

    return run


def run() -> list[Result]:
    """Return the two results, in messages per second."""
    world = _World()
    known = world.message()
    bare = _floor(known)
    world.accept(known)

    def accept_known() -> None:
        for _ in range(BATCH):
            world.accept(known)

    floors, knowns, unknowns = [], [], []
    for _ in range(ROUNDS):
        strangers = [world.message() for _ in range(BATCH)]

        def accept_unknown(messages: list[bytes] = strangers) -> None:
            for message in messages:
                world.accept(message)

        floors.append(_per_second(bare, BATCH))
        knowns.append(_per_second(accept_known, BATCH))
        unknowns.append(_per_second(accept_unknown, BATCH))
    KNOWN_CHAINS.clear()
    return [
        _result("envelope, chain known", knowns, floors, KNOWN_BAR),
        _result("envelope, chain not known", unknowns, [floor / 4 for floor in floors], UNKNOWN_BAR),
    ]


def _result(name: str, ours: list[float], floors: list[float], bar: float) -> Result:
    mine, floor = statistics.median(ours), statistics.median(floors)
    return Result(name, mine, floor, "1/s", bar, mine / floor >= bar, bar_on="ratio")


if __name__ == "__main__":
    for result in run():
        print(result.document())

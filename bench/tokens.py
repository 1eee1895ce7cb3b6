"""Tokens: a 3-link chain never seen before, one seen before, Require among 10,000, a thousand revocations.

The floor of the first two is PyNaCl over the very bytes that are signed: three verifications a chain. Both alternate in
short rounds and the median of the rounds counts. `require` is one question to a context that has consumed 10,000
tokens; `revocations` takes 1,000 of them in, verifies each and writes it to the database of a site, beside the bare
verifications.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from nacl.signing import VerifyKey

from bench.result import Result
from capabilities.chains import ChainCache, verify
from capabilities.context import CapabilityContext
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.tokens import Token, TokenList, issue, revoke

COLD_BAR, WARM_BAR, REQUIRE_BAR_MS, REVOCATIONS_BAR_S = 0.65, 20_000.0, 1.0, 1.0
ROUNDS, BATCH = 15, 100
STORED, SUBJECTS, ASKED = 10_000, 2_500, 2_000
REVOKED = 1_000
PATH = "/dms/node/resources/free"
_HOUR_NS = 3_600 * 1_000_000_000


def run() -> list[Result]:
    """Measure all four."""
    now_ns = time.time_ns()
    return [*_chains(now_ns), _require(now_ns), _revocations(now_ns)]


def _chain(keys: Sequence[PrivateKey], until_ns: int) -> Token:
    """Return org -> unit -> caller -> actor."""
    made = None
    for giver, taker, path, action in (
        (keys[0], keys[1], "/dms", "delegate"),
        (keys[1], keys[2], "/dms/node", "delegate"),
        (keys[2], keys[3], PATH, "invoke"),
    ):
        made = issue(
            giver,
            action=action,
            subject=did_of(taker.public),
            capabilities=[path],
            expires_ns=until_ns,
            chain=made,
        )
    assert made is not None
    return made


def _chains(now_ns: int) -> list[Result]:
    keys = [PrivateKey.generate() for _ in range(4)]
    bare_keys = [VerifyKey(key.public.raw) for key in keys[2::-1]]
    cold, warm, floor = [], [], []
    for _ in range(ROUNDS):
        tokens = [_chain(keys, now_ns + _HOUR_NS) for _ in range(BATCH)]
        signed = [
            [
                (key, link.signed_bytes(), link.signature)
                for key, link in zip(bare_keys, one.links(), strict=True)
            ]
            for one in tokens
        ]
        fresh = [Token.parse(one.document()) for one in tokens]
        cache = ChainCache()
        cold.append(_rate(partial(_verify, fresh, now_ns, cache)))
        warm.append(_rate(partial(_verify, fresh, now_ns, cache)))
        floor.append(_rate(partial(_verify_bare, signed)))
    ours, known, bare = (statistics.median(found) for found in (cold, warm, floor))
    return [
        Result("tokens-cold", ours, bare, "chains/s", COLD_BAR, ours >= COLD_BAR * bare, "ratio"),
        Result("tokens-warm", known, bare, "chains/s", WARM_BAR, known >= WARM_BAR),
    ]


def _verify(tokens: Iterable[Token], now_ns: int, cache: ChainCache) -> None:
    for one in tokens:
        verify(one, now_ns=now_ns, cache=cache)


def _verify_bare(signed: Iterable[Iterable[tuple[VerifyKey, bytes, bytes]]]) -> None:
    for links in signed:
        for key, data, proof in links:
            key.verify(data, proof)


def _rate(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return BATCH / (time.perf_counter() - begun)


def _require(now_ns: int) -> Result:
    """Ask a context for one subject among thousands; the floor is asking one that holds that subject alone."""
    node, caller = PrivateKey.generate(), PrivateKey.generate()
    actors = [did_of(PrivateKey.generate().public) for _ in range(SUBJECTS)]
    did = did_of(node.public)

    def of(actor: str) -> list[Token]:
        trusted = issue(
            node,
            action="delegate",
            subject=did_of(caller.public),
            capabilities=["/dms"],
            expires_ns=now_ns + _HOUR_NS,
        )
        return [
            issue(
                caller,
                action="invoke",
                subject=actor,
                capabilities=[f"/dms/node/part{number}"],
                expires_ns=now_ns + _HOUR_NS,
                chain=trusted,
            )
            for number in range(STORED // SUBJECTS)
        ]

    full, small = CapabilityContext(did), CapabilityContext(did)
    for actor in actors:
        blob = TokenList(tuple(of(actor))).encode()
        full.consume(did, blob, now_ns)
        if actor == actors[0]:
            small.consume(did, blob, now_ns)
    last = f"/dms/node/part{STORED // SUBJECTS - 1}/x"

    def p99(context: CapabilityContext, subjects: Sequence[str]) -> float:
        taken = []
        for number in range(ASKED):
            begun = time.perf_counter()
            context.require(subjects[number % len(subjects)], did, [last], now_ns)
            taken.append((time.perf_counter() - begun) * 1000)
        return sorted(taken)[int(ASKED * 0.99)]

    ours, floor = p99(full, actors), p99(small, actors[:1])
    return Result("tokens-require", ours, floor, "ms (p99)", REQUIRE_BAR_MS, ours < REQUIRE_BAR_MS)


def _revocations(now_ns: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="dms-bench-tokens-") as folder:
        os.environ["DMS_HOME"] = folder
        from dmsweb.prepare import prepare

        prepare(lambda text: None)
        from capabilities.contexts import anchors_add

        key, other = PrivateKey.generate(), did_of(PrivateKey.generate().public)
        given = [
            issue(key, action="delegate", subject=other, capabilities=["/dms"], expires_ns=now_ns + _HOUR_NS)
            for _ in range(REVOKED)
        ]
        revocations = [revoke(key, one) for one in given]
        bare = VerifyKey(key.public.raw)
        signed = [(one.signed_bytes(), one.signature) for one in revocations]
        begun = time.perf_counter()
        for data, proof in signed:
            bare.verify(data, proof)
        floor = time.perf_counter() - begun
        begun = time.perf_counter()
        anchors_add("dms", revoke=revocations)
        ours = time.perf_counter() - begun
    return Result("tokens-revocations", ours, floor, "s", REVOCATIONS_BAR_S, ours < REVOCATIONS_BAR_S)

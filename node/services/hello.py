"""Hello between sites: addresses exchanged, clocks compared, revocations pulled since the last time.

Whoever says hello pulls; whoever is greeted notes that the other is there and sends what waits for it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from capabilities.gojson import JsonFault
from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.revocations import revocations_accept, revocations_since
from capabilities.tokens import Token, TokenFault, TokenList
from node.addresses import AddressRecord, clock_offset_ns
from node.models import Peer
from node.reaching import Unreachable
from node.services import outgoing
from node.services.peers import clock_note, own_record, peer_learn, peer_seen
from node.services.sending import Answer, Destination, ask, of_peer

logger = logging.getLogger(__name__)
HELLO = "/public/hello"
MS = 1_000_000
# A peer that always has more is asked again at the next hello.
PAGES_MAX = 50
_asked: set[str] = set()


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a hello went: how long it took, what is wrong with the clocks, how many revocations were new."""

    did: str
    rtt_ms: float
    clock: str
    revocations: int


def greet(peer: Peer, to: Destination | None = None) -> Greeting:
    """Say hello to a known site. Raises RefusedThere or Unreachable; the row says it, too."""
    to = to or of_peer(peer)
    added, ahead_ns = 0, 0
    if peer.did not in _asked:
        # From the beginning once in this process' life: what a site restored from a backup says anew has old numbers.
        peer.revocations_seen = 0
    for _ in range(PAGES_MAX):
        sent_ns = time.time_ns()
        try:
            answer = _hello(to, peer, ahead_ns)
        except Unreachable as fault:
            if fault.step != "clock" or ahead_ns:
                raise
            # Said once more in the other's time, so that both sides learn what is wrong.
            clock_note(peer, int(fault.members["offset_ms"]))
            ahead_ns = int(fault.members["offset_ms"]) * MS
            continue
        said = answer.payload if isinstance(answer.payload, dict) else {}
        there_ns = said.get("Time")
        clock = ""
        if isinstance(there_ns, int):
            offset_ns = clock_offset_ns(sent_ns, there_ns, time.time_ns())
            clock = clock_note(peer, offset_ns // MS)
            if said.get("Record") is not None:
                _learn(said["Record"], peer, offset_ns)
        added += pull(peer, said)
        _asked.add(peer.did)
        if said.get("More") is not True:
            break
    return Greeting(to.handle.did, answer.rtt_ms, clock, added)


def _hello(to: Destination, peer: Peer, ahead_ns: int) -> Answer:
    payload = {"Time": time.time_ns(), "Since": peer.revocations_seen, **_told("Record")}
    return ask(to, HELLO, payload, timeout_s=NUMBERS.peer_hello_timeout_s, ahead_ns=ahead_ns)


def _told(name: str) -> dict[str, Any]:
    """Return our record under `name`; nothing while this site, just started, does not know where it listens."""
    record = own_record()
    return {name: record.document()} if record.addresses else {}


def _learn(document: Any, peer: Peer, offset_ns: int) -> None:
    try:
        record = AddressRecord.parse(document, now_ns=time.time_ns(), clock_off_ns=offset_ns)
    except Refusal as fault:
        logger.warning("the address record of %s is not used: %s", peer, fault.detail)
        return
    if record.did == peer.did:
        peer_learn(record, Peer.Via.HELLO)


def pull(peer: Peer, said: dict[str, Any]) -> int:
    """Take in the revocations of an answer to a hello; return how many were new."""
    cursor = said.get("Cursor")
    try:
        tokens = TokenList.of_document(said.get("Revocations")).tokens
    except (TokenFault, JsonFault) as fault:
        logger.warning("the revocations of %s are not used: %s", peer, fault.detail)
        return 0
    added = accept(tokens, str(peer))
    if isinstance(cursor, int) and not isinstance(cursor, bool) and cursor >= 0:
        peer.revocations_seen = cursor
        Peer.objects.filter(pk=peer.pk).update(revocations_seen=cursor)
    return added


def accept(tokens: tuple[Token, ...], whose: str) -> int:
    """Take in what verifies, all at once where all does."""
    try:
        return revocations_accept(tokens)
    except TokenFault:
        added = 0
        for token in tokens:
            try:
                added += revocations_accept([token])
            except TokenFault as fault:
                logger.warning("a revocation from %s is not used: %s", whose, fault.detail)
        return added


def greeted(invoker: Identity, told_ns: int, record: Any, since: int) -> dict[str, Any]:
    """Note a hello of another site and return what goes with the answer."""
    now_ns = time.time_ns()
    if record is not None:
        found = AddressRecord.parse(record, now_ns=now_ns, clock_off_ns=told_ns - now_ns)
        if found.did != invoker.did:
            raise Refusal(
                "bad_address_record",
                f"the address record is that of {found.did}, {invoker.did} says hello",
                hint="a site sends its own record",
            )
        peer_learn(found, Peer.Via.HELLO)
    peer = Peer.objects.filter(did=invoker.did).first()
    clock = ""
    if peer is not None:
        peer_seen(peer)
        clock = clock_note(peer, (told_ns - now_ns) // MS)
        outgoing.hurry(peer)
    tokens, cursor, more = revocations_since(max(0, since))
    return {
        "time": time.time_ns(),
        **_told("record"),
        "revocations": TokenList(tuple(tokens)).document(),
        "cursor": cursor,
        "more": more,
        "clock": clock.replace("its clock", "your clock") or None,
    }

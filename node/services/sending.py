"""Messages to other sites: where they go, by which address, how often they are tried, and how they end."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

from capabilities.did import DidFault
from capabilities.keys import KeyFault
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.actor import local_actor
from node.addresses import address_check
from node.envelope import Envelope, EnvelopeFault, Payload
from node.handle import EMPTY, Handle, HandleFault
from node.models import Peer
from node.outside import OUTSIDE
from node.reaching import RefusedThere, Unreachable
from node.services.peers import peer_failed, peer_seen

NS = 1_000_000_000
MS = 1_000_000
EXPIRED = ("message_expired", "invalid_message")
# What a message that has expired tells of the clocks, apart from the time it was on its way.
CLOCK_SURE_MS = 2_000


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom a message is for, and where that site can be reached. `peer`: the row, when the site is known here."""

    handle: Handle
    addresses: tuple[str, ...]
    peer: Peer | None = None

    @property
    def name(self) -> str:
        """What people read."""
        return str(self.peer or self.handle.did)

    @property
    def own(self) -> bool:
        """Whether it is this site itself."""
        return self.handle.public_key == local_actor().handle.public_key


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, by whom, through which address, and how long it took."""

    payload: Any
    did: str
    address: str
    rtt_ms: float


def destination(text: str) -> Destination:
    """Return where `text` leads: an address, a DID, a peer id, a handle, or the name of a known site.

    Refusal when it names nobody; Unreachable when nobody knows where that is.
    """
    if text.startswith(("http://", "https://")):
        return _at(text)
    peer = None
    try:
        if text.startswith("{"):
            handle = Handle.parse(json.loads(text))
        elif "@" in text:
            handle = Handle.from_text(text)
        elif text.startswith("did:"):
            handle = Handle.of_did(text)
        else:
            peer = _named(text)
            handle = Handle.of_did(peer.did) if peer else Handle.of_peer_id(text)
    except (DidFault, KeyFault, HandleFault, ValueError) as fault:
        raise Refusal(
            "bad_destination",
            f"{text[:200]!r} is no site that is known here, no DID and no address: {fault}",
            hint="./dms peers list shows the known sites; an address begins with https:// or http://",
        ) from None
    if handle.public_key == local_actor().handle.public_key:
        return Destination(handle, ("local",))
    peer = peer or Peer.objects.filter(did=handle.did).first()
    if peer is None:
        raise Unreachable("address", f"no address of {handle.did} is known here")
    return of_peer(peer, handle)


def _named(name: str) -> Peer | None:
    """Return the known site of this name; Refusal when several call themselves so."""
    found = list(Peer.objects.filter(name=name).order_by("pk")[:2]) if name else []
    if len(found) > 1:
        raise Refusal(
            "ambiguous_name",
            f"several known sites are called {name}",
            status=409,
            hint="name the DID: ./dms peers list",
        )
    return found[0] if found else None


def of_peer(peer: Peer, handle: Handle | None = None) -> Destination:
    """Return where a known site is, the address that worked last first."""
    ordered = dict.fromkeys([*([peer.used_address] if peer.used_address else []), *peer.addresses])
    if not ordered:
        raise Unreachable("address", f"{peer} has told no address where it could be reached")
    return Destination(handle or Handle.of_did(peer.did), tuple(ordered), peer)


def _at(text: str) -> Destination:
    address = address_check(text, plain=True)
    answer = OUTSIDE.transports[address.partition(":")[0]].handle(address, NUMBERS.peer_connect_timeout_s)
    try:
        handle = Handle.parse(json.loads(answer))
    except ValueError:
        raise Unreachable("http", f"{address} does not answer like a DMS site", address=address) from None
    if handle.public_key is None:
        raise Unreachable("http", f"{address} does not say who it is", address=address)
    if handle.public_key == local_actor().handle.public_key:
        return Destination(handle, ("local",))
    peer = Peer.objects.filter(did=handle.did).first()
    others = [other for other in peer.addresses if other != address] if peer else []
    return Destination(handle, (address, *others), peer)


def ask(
    to: Destination,
    behavior: str,
    payload: Payload,
    *,
    timeout_s: float = NUMBERS.envelope_expiry_s,
    ahead_ns: int = 0,
) -> Answer:
    """Invoke a behavior of another site as this site's node and return its answer.

    RefusedThere when it says no, Unreachable when it does not answer; both say why.
    """
    if to.own:
        raise Refusal(
            "own_site", "this is the site itself", status=409, hint="invoke it without a destination"
        )
    question = local_actor().compose(
        to.handle, behavior, payload, reply=True, timeout_s=timeout_s, ahead_ns=ahead_ns
    )
    data, address, rtt_ms = carry(to, question.to_json(), "invoke", timeout_s)
    try:
        said = answered(data, question)
    except Unreachable as fault:
        _failed(to, fault)
        raise
    if to.peer is not None:
        peer_seen(to.peer, address=address, rtt_ms=rtt_ms)
    if isinstance(said, dict) and str(said.get("type", "")).startswith("urn:dms:problem:"):
        refused = RefusedThere(said, to.name, signed=True)
        _clock(refused, to)
        raise refused
    return Answer(said, to.handle.did, address, rtt_ms)


def answered(data: bytes, question: Envelope) -> Any:
    """Return what the reply in `data` says, once it is certain that the receiver of `question` says it."""
    try:
        reply = Envelope.parse(data)
        reply.verify()
        said = reply.payload()
    except EnvelopeFault as fault:
        raise Unreachable("http", f"what was answered is no signed reply: {fault.detail}") from None
    if (
        reply.sender.public_key != question.to.public_key
        or reply.to != question.sender
        or reply.behavior != question.reply_to
    ):
        raise Unreachable(
            "http",
            f"the answer is from {reply.sender} to {reply.to}: somebody else answers at this address",
        )
    return said


def carry(to: Destination, envelope: bytes, verb: str, timeout_s: float) -> tuple[bytes, str, float]:
    """Carry an envelope to the site by the first address that works; return the answer, that address, and the ms.

    Tried again, a few times while the message lives, only as long as it has certainly not been handled.
    """
    ends_at = time.monotonic() + timeout_s
    failures: dict[str, Unreachable] = {}
    for attempt in range(NUMBERS.peer_tries_max):
        for address in to.addresses:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                break
            begin = time.monotonic()
            try:
                data = OUTSIDE.transports[address.partition(":")[0]].carry(envelope, address, verb, left_s)
            except Unreachable as fault:
                failures[address] = fault
                if not fault.again:
                    _failed(to, fault)
                    raise
            except RefusedThere as refused:
                _clock(refused, to)
                raise
            else:
                return data, address, (time.monotonic() - begin) * 1000
        pause_s = NUMBERS.peer_try_pause_s * 2**attempt
        if attempt + 1 == NUMBERS.peer_tries_max or time.monotonic() + pause_s >= ends_at:
            break
        time.sleep(pause_s)
    unreachable = _together(failures, to)
    _failed(to, unreachable)
    raise unreachable


def _together(failures: dict[str, Unreachable], to: Destination) -> Unreachable:
    if not failures:
        return Unreachable("answer", f"there was no time left to reach {to.name}")
    *_, last = failures.values()
    if len(failures) == 1:
        return last
    return Unreachable(last.step, "; ".join(fault.detail for fault in failures.values()))


def _failed(to: Destination, fault: Unreachable) -> None:
    if to.peer is not None:
        peer_failed(to.peer, fault.detail)


def _clock(refused: RefusedThere, to: Destination) -> None:
    """Raise Unreachable at the step `clock` where it is the clocks that made the other site refuse."""
    there_ns = refused.members.get("now_ns")
    if refused.code not in EXPIRED or not isinstance(there_ns, int):
        return
    offset_ms = (there_ns - time.time_ns()) // MS
    if abs(offset_ms) < CLOCK_SURE_MS:
        return
    way = "ahead of" if offset_ms > 0 else "behind"
    raise Unreachable(
        "clock",
        f"{to.name} does not take the message: its clock is {abs(offset_ms) / 1000:.0f} s {way} ours",
        offset_ms=offset_ms,
    )


def broadcast(behavior: str, topic: str, payload: Payload, *, timeout_s: float) -> list[dict[str, Any]]:
    """Send a broadcast to every known site, one after the other; return what each answered, or its problem."""
    actor = local_actor()
    question = actor.compose(EMPTY, behavior, payload, reply=True, topic=topic, timeout_s=timeout_s)
    data = question.to_json()
    ends_at = time.monotonic() + timeout_s
    replies: list[dict[str, Any]] = []
    for peer in Peer.objects.order_by("pk"):
        entry: dict[str, Any] = {"did": peer.did, "name": peer.name}
        try:
            to = of_peer(peer)
            left_s = min(ends_at - time.monotonic(), NUMBERS.peer_hello_timeout_s)
            answer, address, rtt_ms = carry(to, data, "broadcast", max(left_s, 0.01))
            peer_seen(peer, address=address, rtt_ms=rtt_ms)
            entry["payload"] = _one_of(answer, replace(question, to=to.handle))
        except Refusal as refusal:
            entry["problem"] = refusal.problem()
        replies.append(entry)
    return replies


def _one_of(data: bytes, question: Envelope) -> Any:
    try:
        listed = json.loads(data)
    except ValueError:
        listed = None
    if not isinstance(listed, list):
        raise Unreachable("http", "what was answered is no list of replies")
    return answered(json.dumps(listed[0]).encode(), question) if listed else None

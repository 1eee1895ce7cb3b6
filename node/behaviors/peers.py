"""Behaviors about other sites: who is known, whether they answer, and messages to them."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.behaviors.public import DidDocument
from node.envelope import Envelope
from node.handle import EMPTY
from node.message import Empty, Message
from node.models import Peer
from node.reaching import Unreachable
from node.registry import Call, behavior
from node.services import hello, sending
from node.services.peers import own_record

EXPIRY = Field(
    NUMBERS.envelope_expiry_s,
    alias="Timeout",
    gt=0,
    le=NUMBERS.envelope_max_ahead_s,
    description="How long the message lives, in seconds.",
)


class PeersListResponse(Message):
    """The sites that are known here."""

    peers: list[dict[str, Any]] = Field(alias="Peers")


class PeerAddrInfoResponse(Message):
    """Who this site is for others, and where."""

    id: str
    listen_addr: str = Field(alias="listen_addr", description="Addresses, joined by commas.")
    did: DidDocument = Field(alias="DID")
    record: dict[str, Any] = Field(alias="Record", description="The address record, signed.")


class PingRequest(Message):
    """Whom to ask."""

    host: str = Field("", alias="Host", description="DID, peer id, name or address.")


class PingResponse(Message):
    """Whether it answered; times in milliseconds."""

    error: str | None = Field(None, alias="Error")
    rtt: float | None = Field(None, alias="RTT")
    clock: str | None = Field(None, alias="Clock", description="Said when the clocks differ too much.")
    revocations: int = Field(0, alias="Revocations", description="How many were new here.")


class InvokeRequest(Message):
    """A behavior of another site, invoked as this site's node."""

    dest: str = Field(alias="Dest", description="DID, peer id, handle, name or address.")
    behavior: str = Field(alias="Behavior", max_length=1024)
    payload: dict[str, Any] = Field(default_factory=dict, alias="Payload")
    timeout_s: float = EXPIRY


class InvokeResponse(Message):
    """What the other site answered, certainly itself."""

    did: str = Field(alias="DID")
    address: str = Field(alias="Address")
    rtt: float = Field(alias="RTT", description="Milliseconds.")
    payload: Any = Field(None, alias="Payload")


class DeliverRequest(Message):
    """An envelope that somebody else has signed, as JSON text: written anew it would not verify."""

    dest: str = Field("", alias="Dest", description="Default: the receiver that the envelope names.")
    verb: Literal["send", "invoke", "broadcast"] = Field("invoke", alias="Verb")
    envelope: str = Field(alias="Envelope", max_length=NUMBERS.envelope_max_bytes)
    timeout_s: float = EXPIRY


class DeliverResponse(Message):
    """What was answered through the address, unread: whoever has asked verifies it."""

    address: str = Field(alias="Address")
    reply: Any = Field(None, alias="Reply")


class BroadcastRequest(Message):
    """A broadcast as this site's node to every known site."""

    behavior: str = Field(alias="Behavior", max_length=1024)
    topic: str = Field(alias="Topic", max_length=1024)
    payload: dict[str, Any] = Field(default_factory=dict, alias="Payload")
    timeout_s: float = EXPIRY


class BroadcastResponse(Message):
    """What each site answered, or why it did not."""

    replies: list[dict[str, Any]] = Field(alias="Replies")


def entry_of(peer: Peer) -> dict[str, Any]:
    """Return what a list says of a known site."""
    return {
        "did": peer.did,
        "host": peer.used_address or next(iter(peer.addresses), ""),
        "state": peer.state,
        "via": peer.via,
        "rtt_ms": peer.rtt_ms,
        "score": None,
        "last_seen": peer.last_seen_at.isoformat() if peer.last_seen_at else None,
        "name": peer.name,
        "addresses": peer.addresses,
        "since": peer.since.isoformat(),
        "last_error": peer.last_error if peer.state == "unreachable" else "",
        "clock_offset_ms": peer.clock_offset_ms,
    }


@behavior("/dms/node/peers/list", request=Empty, response=PeersListResponse)
def peers_list(call: Call, request: Empty) -> PeersListResponse:
    """List the sites that are known here, and whether they answer."""
    return PeersListResponse(peers=[entry_of(peer) for peer in Peer.objects.all()[:1000]])


@behavior("/dms/node/peers/self", request=Empty, response=PeerAddrInfoResponse)
def peers_self(call: Call, request: Empty) -> PeerAddrInfoResponse:
    """Say who this site is for others and where it can be reached."""
    record = own_record()
    return PeerAddrInfoResponse(
        id=call.node.peer_id,
        listen_addr=",".join(record.addresses),
        did=DidDocument(uri=record.did),
        record=record.document(),
    )


@behavior("/dms/node/peers/ping", request=PingRequest, response=PingResponse)
def peers_ping(call: Call, request: PingRequest) -> PingResponse:
    """Say hello to another site: how long it takes, whether the clocks agree, what it has revoked."""
    if not request.host:
        return PingResponse(error="host is empty")
    try:
        to = sending.destination(request.host)
        if to.own:
            return PingResponse(error="cannot ping self")
        if to.peer is None:
            answer = sending.ask(to, hello.HELLO, None, timeout_s=NUMBERS.peer_hello_timeout_s)
            return PingResponse(rtt=round(answer.rtt_ms, 1))
        greeting = hello.greet(to.peer, to)
    except Refusal as refusal:
        return PingResponse(error=refusal.detail)
    return PingResponse(
        rtt=round(greeting.rtt_ms, 1), clock=greeting.clock or None, revocations=greeting.revocations
    )


@behavior("/dms/node/peers/invoke", request=InvokeRequest, response=InvokeResponse, changes=True)
def peers_invoke(call: Call, request: InvokeRequest) -> InvokeResponse:
    """Invoke a behavior of another site as this site's node, and say what it answers."""
    to = sending.destination(request.dest)
    answer = sending.ask(to, request.behavior, request.payload, timeout_s=request.timeout_s)
    return InvokeResponse(
        did=answer.did, address=answer.address, rtt=round(answer.rtt_ms, 1), payload=answer.payload
    )


@behavior("/dms/node/peers/deliver", request=DeliverRequest, response=DeliverResponse, changes=True)
def peers_deliver(call: Call, request: DeliverRequest) -> DeliverResponse:
    """Carry an envelope that is signed already to another site, and give back its answer as it is."""
    data = request.envelope.encode()
    envelope = Envelope.parse(data)
    if not request.dest and envelope.to == EMPTY:
        raise Refusal("bad_destination", "the envelope names no receiver", hint="give Dest")
    to = sending.destination(request.dest or envelope.to.did or envelope.to.id_did)
    answer, address, _ = sending.carry(to, data, request.verb, request.timeout_s)
    try:
        return DeliverResponse(address=address, reply=json.loads(answer))
    except ValueError:
        raise Unreachable("http", f"{address} does not answer like a DMS site", address=address) from None


@behavior("/dms/node/peers/broadcast", request=BroadcastRequest, response=BroadcastResponse, changes=True)
def peers_broadcast(call: Call, request: BroadcastRequest) -> BroadcastResponse:
    """Send a broadcast as this site's node to every known site, and gather what they answer."""
    replies = sending.broadcast(request.behavior, request.topic, request.payload, timeout_s=request.timeout_s)
    return BroadcastResponse(replies=replies)

"""The node's actor: signed envelopes in, the same handlers as everywhere, signed replies out.

What happens to one envelope, in order:

    1. parsed within bounds, addressed to this node, signed by the key in `from.id`; what fails here has no
       sender who could be answered
    2. not expired, not too far ahead
    3. the behavior exists, the limiter has room, and the tokens in the envelope allow it
    4. it waits in the mailbox; its turn come, its nonce must be new, and from here on it is used up
    5. its handler runs, and the answer (or refusal) is signed for the sender
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from django.db import close_old_connections, connections
from django.utils import timezone

from capabilities import custody, selectors
from capabilities.context import Decision, permits
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import AuditEntry, Identity
from capabilities.moments import moment_of
from capabilities.numbers import NUMBERS
from capabilities.recent import Recent
from capabilities.refusal import Refusal
from capabilities.services import identity_for_peer
from capabilities.tokens import TokenFault, TokenList
from node import nonces
from node.dispatch import LIMITER, find, not_authorized, run
from node.envelope import Envelope, Payload, compose
from node.handle import EMPTY, Handle
from node.limiter import rate_limit_exceeded
from node.logger import context
from node.mailbox import Mailbox
from node.models import Node
from node.record import record
from node.registry import Behavior, Call
from node.replies import REPLY_TO, Replies
from node.selectors import local_node

NS = 1_000_000_000
IDENTITIES_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whose invocation it is, on which tokens it rests, and whether she is a root of the node."""

    invoker: Identity
    decision: Decision
    root: bool


class Actor:
    """The root actor of one node; `clock` returns nanoseconds since 1970."""

    def __init__(self, key: PrivateKey, mailbox: Mailbox, clock: Callable[[], int] = time.time_ns) -> None:
        self._key = key
        self._clock = clock
        self._nonces = itertools.count(clock())
        self.handle = Handle.of_key(key.public)
        self.did = did_of(key.public)
        self.mailbox = mailbox
        self.replies = Replies()
        self._identities: Recent[str, Identity] = Recent(IDENTITIES_KEPT)
        self._node: tuple[float, Node] | None = None

    def compose(
        self,
        to: Handle,
        behavior: str,
        payload: Payload,
        *,
        reply: bool = False,
        topic: str = "",
        timeout_s: float = NUMBERS.envelope_expiry_s,
        ahead_ns: int = 0,
    ) -> Envelope:
        """Return a signed message from this node, with the tokens that let it be accepted where it goes.

        `ahead_ns`: how far the receiver's clock is known to be ahead, so that it does not find the message expired.
        """
        nonce = next(self._nonces)
        now_ns = self._clock() + ahead_ns
        draft = compose(
            to=to,
            behavior=behavior,
            sender=self.handle,
            payload=payload,
            nonce=nonce,
            now_ns=now_ns,
            timeout_s=timeout_s,
            reply_to=f"{REPLY_TO}{nonce}" if reply else "",
            topic=topic,
        )
        context = selectors.site_context()
        if topic and to == EMPTY:
            tokens = context.provide_broadcast(
                self._key, own_id=self.did, topic=topic, expires_ns=draft.expires_ns, capabilities=[behavior]
            )
        else:
            tokens = context.provide(
                self._key,
                target_did=to.did,
                own_id=self.did,
                target_id=to.id_did,
                expires_ns=draft.expires_ns,
                invoke=[behavior],
                delegate=[draft.reply_to] if reply else [],
            )
        signed = compose(
            to=to,
            behavior=behavior,
            sender=self.handle,
            payload=payload,
            nonce=nonce,
            now_ns=now_ns,
            expires_ns=draft.expires_ns,
            reply_to=draft.reply_to,
            topic=topic,
            capabilities=tokens,
        )
        return signed.sign(self._key)

    def receive(self, data: bytes, *, remote_addr: str = "") -> Envelope | None:
        """Take in one envelope; see `node.door.receive`."""
        envelope = Envelope.parse(data)
        self._check_receiver(envelope)
        envelope.verify()
        try:
            answer = self._admit(envelope, remote_addr)
        except Refusal as refusal:
            if not envelope.reply_to:
                raise
            return self._reply(envelope, refusal.problem())
        return self._reply(envelope, answer) if envelope.reply_to else None

    def _check_receiver(self, envelope: Envelope) -> None:
        if envelope.broadcast or (
            envelope.to.public_key == self._key.public and envelope.to.inbox == self.handle.inbox
        ):
            return
        raise Refusal(
            "unknown_receiver",
            f"the message is for {str(envelope.to)[:300]}, this is {self.handle}",
            status=404,
            hint="GET /api/v1/actor/handle says how this node is addressed",
        )

    def _admit(self, envelope: Envelope, remote_addr: str) -> Payload:
        now_ns = self._clock()
        if envelope.behavior.startswith(REPLY_TO):
            envelope.check_expiry(now_ns)
            nonces.accept(envelope, now_ns)
            self.replies.deliver(envelope, now_ns)
            return {}
        # Nobody needs to know when it expires to learn that what it asks for does not exist.
        entry = find(envelope.behavior)
        ahead_s = NUMBERS.envelope_max_ahead_s if entry.max_ahead_s is None else entry.max_ahead_s
        envelope.check_expiry(now_ns, max_ahead_s=ahead_s)
        topic = self._topic(envelope, entry)
        if not LIMITER.allow(entry.path, topic):
            raise rate_limit_exceeded(
                "such behaviors", sum(LIMITER.active().values()), NUMBERS.public_limit_allow
            )
        payload = envelope.payload()
        admitted = self._authorize(envelope, entry, payload, remote_addr, now_ns)
        return self._handle(envelope, entry, payload, admitted, remote_addr, topic)

    def _topic(self, envelope: Envelope, entry: Behavior) -> str:
        if not envelope.broadcast:
            return ""
        if not entry.topic or entry.topic != envelope.topic:
            wanted = f"listens on {entry.topic}" if entry.topic else "is not for broadcasts"
            raise Refusal(
                "invalid_message",
                f"invalid message: {entry.path} {wanted}, the message came on {envelope.topic}",
                hint="send it to one node, or on the topic of the behavior",
            )
        if envelope.sender == self.handle:
            raise Refusal("own_broadcast", "a node does not answer its own broadcasts", status=409)
        return envelope.topic

    def _authorize(
        self, envelope: Envelope, entry: Behavior, payload: Payload, remote_addr: str, now_ns: int
    ) -> Admitted:
        subject = envelope.sender.id_did
        claimed = envelope.sender.did or subject
        context = selectors.site_context()
        wanted = (entry.path,)
        if envelope.broadcast:
            decision = context.admit_broadcast(
                claimed, subject, envelope.topic, wanted, envelope.capabilities, now_ns
            )
        else:
            decision = context.admit(claimed, subject, self.did, wanted, envelope.capabilities, now_ns)
        if decision.allowed and claimed != subject:
            decision = self._speaks_for(envelope, decision, claimed)
        elif not decision.allowed and claimed == subject:
            # The key of a root, or of somebody who holds tokens of this site, needs to bring none along.
            held = permits(context, subject, entry.path, selectors.tokens_of(subject), now_ns)
            decision = held if held.allowed else decision
        if not decision.allowed:
            ended = selectors.revoked_words(claimed, entry.path)
            refusal = not_authorized(subject, entry.path, "; ".join(filter(None, (decision.why, ended))))
            record(
                subject,
                entry.path,
                AuditEntry.Outcome.REFUSED,
                None,
                source="peer",
                remote_addr=remote_addr,
                reason=f"{refusal.code}: {refusal.detail}",
                payload=payload,
            )
            raise refusal
        root = claimed == context.did or claimed in context.roots
        return Admitted(self._identity(claimed), decision, root)

    def _identity(self, did: str) -> Identity:
        # Rows of identities are never deleted and their DIDs never change.
        identity = self._identities.get(did)
        if identity is None:
            identity = identity_for_peer(did)
            self._identities.put(did, identity)
        return identity

    def _local_node(self) -> Node:
        # Measured facts are seconds old by nature; reading them again for each message is half of its cost.
        now = time.monotonic()
        kept = self._node
        if kept is None or now - kept[0] > NUMBERS.node_row_kept_s:
            kept = self._node = (now, local_node())
        return kept[1]

    def _speaks_for(self, envelope: Envelope, decision: Decision, claimed: str) -> Decision:
        """Return `decision` if its token shows that the sender's id acts for the DID that it names.

        The token must be that DID's own, and made for a message to this node: a token that somebody has merely
        granted to another party carries no audience, or that party could pass for its issuer.
        """
        try:
            listed = TokenList.parse(envelope.capabilities).tokens
        except TokenFault as fault:
            return Decision(False, fault.detail)
        used = next((token for token in listed if token.key == decision.token_keys[0]), None)
        if used is not None and used.issuer == claimed and (used.audience == self.did or envelope.broadcast):
            return decision
        return Decision(
            False, f"its token does not show that {envelope.sender.id_did} acts for {claimed} at this node"
        )

    def _handle(
        self,
        envelope: Envelope,
        entry: Behavior,
        payload: Payload,
        admitted: Admitted,
        remote_addr: str,
        topic: str,
    ) -> Payload:
        request_id = context.request_id() or uuid.uuid4().hex

        def work() -> Payload:
            with context.bind(request=request_id):
                return answered()

        def answered() -> Payload:
            now_ns = self._clock()
            envelope.check_expiry(now_ns, max_ahead_s=float("inf"))
            # Not before it leaves the mailbox: what a full mailbox refused may be sent again as it is.
            nonces.accept(envelope, now_ns)
            call = Call(
                invoker=admitted.invoker,
                node=self._local_node(),
                now=timezone.now(),
                source="peer",
                remote_addr=remote_addr,
                request_id=request_id,
                expires_at=moment_of(envelope.expires_ns),
                is_root=admitted.root,
            )
            given = {} if payload is None else payload
            return run(entry, call, given, admitted.decision, topic).wire()

        future = self.mailbox.put(work)
        # The longest limits are hours: nobody holds a connection that long for a handler that is stuck.
        left_s = min((envelope.expires_ns - self._clock()) / NS, NUMBERS.envelope_max_ahead_s)
        try:
            return future.result(timeout=max(left_s, 0.0))
        except (FutureTimeout, CancelledError):
            future.cancel()
            raise Refusal(
                "request_timeout",
                f"{entry.path} gave no answer before the message expired",
                status=408,
                hint="let the message live longer; what it asked for may still happen",
            ) from None

    def _reply(self, envelope: Envelope, payload: Payload) -> Envelope:
        reply = envelope.reply(payload, nonce=next(self._nonces), source=self.handle)
        if reply.expired(self._clock()):
            # An answer that inherits an expiry that is over would be refused in its turn.
            fresh = self._clock() + int(NUMBERS.envelope_expiry_s * NS)
            reply = Envelope(
                reply.to, reply.behavior, reply.sender, reply.nonce, fresh, message=reply.message
            )
        return reply.sign(self._key)


_lock = threading.Lock()
_kept: list[Actor] = []


def local_actor() -> Actor:
    """Return the actor of this process' node, made on first use."""
    with _lock:
        if not _kept:
            mailbox = Mailbox(
                NUMBERS.mailbox_depth,
                NUMBERS.mailbox_workers,
                name="mailbox",
                after=close_old_connections,
                closing=connections.close_all,
            )
            _kept.append(Actor(custody.node_key(), mailbox))
        return _kept[0]


def stop() -> None:
    """End the actor of this process; the next use makes another."""
    with _lock:
        kept = _kept[:]
        _kept.clear()
    for actor in kept:
        actor.mailbox.stop()

"""Inviting and joining: a single-use link becomes anchors on both sides, or a refusal with the reason.

What each side gives is one signed delegation: the giver keeps it as a require anchor (and as a token that it can
revoke), the other as a provide anchor. Roots are never touched. Both sides can be asked again without harm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from capabilities import custody, services
from capabilities.did import key_of
from capabilities.keys import PrivateKey
from capabilities.models import Anchor, Identity
from capabilities.models import Token as TokenRow
from capabilities.moments import moment_of
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal
from capabilities.selectors import CONTEXT, rows_of, site_identity
from capabilities.tokens import Token, TokenList, covered, verify
from node import invitations
from node.addresses import AddressRecord
from node.envelope import compose
from node.handle import Handle
from node.invitations import BASE, TOPICS, Link
from node.models import Invitation, Peer
from node.reaching import RefusedThere, Unreachable
from node.registry import Call
from node.replies import REPLY_TO
from node.services import hello
from node.services.machine import node_event
from node.services.peers import own_addresses, own_record, peer_learn
from node.services.sending import Destination, answered, carry

logger = logging.getLogger(__name__)
ACCEPT = "/dms/node/peers/accept"
NS = 1_000_000_000
PATIENCE_S = 20.0
KEPT = timedelta(seconds=NUMBERS.expired_kept_s)


def _may_give(invoker: Identity, paths: Iterable[str]) -> None:
    """Refuse what whoever gives it may not do herself."""
    lacking = [path for path in paths if path not in BASE and not services.authorize(invoker, path).allowed]
    if lacking:
        raise Refusal(
            "not_authorized",
            f"you cannot give what you may not do yourself: {', '.join(lacking)}",
            status=403,
            hint="leave it away, or let an administrator invite",
            capability=lacking[0],
        )


def invite(
    call: Call, *, can: Iterable[str], want: Iterable[str], lifetime: timedelta, member: timedelta, note: str
) -> tuple[Invitation, Link]:
    """Make an invitation; the link is returned and kept nowhere."""
    offers, asks = invitations.offered(can, "Can"), invitations.offered(want, "Want")
    _may_give(call.invoker, offers)
    addresses = own_addresses()
    if not addresses:
        raise Refusal(
            "no_address",
            "this site does not know where it can be reached",
            status=409,
            hint="set DMS_ADVERTISE or DMS_PUBLIC_URL to its address",
        )
    secret = PrivateKey.generate()
    expires, until = call.now + lifetime, call.now + member
    node = site_identity()
    link = Link(
        node.did,
        call.node.name,
        tuple(addresses),
        secret,
        int(expires.timestamp() * NS),
        int(until.timestamp() * NS),
        offers,
        asks,
    )
    link = link.sign(custody.node_key())
    with transaction.atomic():
        row = Invitation.objects.create(
            did=link.holder,
            note=note,
            offers=list(offers),
            asks=list(asks),
            created_by=call.invoker,
            expires_at=expires,
            member_until=until,
        )
        # Good for longer than the link: whoever comes too late is told so by `accept`, which looks at the row.
        services.grant(node, link.holder, [ACCEPT], lifetime + KEPT, depth=1)
        node_event(call.node, "invitation", f"invited {note or 'a site'}", actor=call.invoker.did)
    return row, link


def invitation_end(call: Call, row: Invitation) -> None:
    """Take an invitation back; one that has been used stays what it is."""
    if row.used_at:
        raise Refusal(
            "invitation_used",
            f"the invitation was used on {row.used_at:%Y-%m-%d}",
            status=409,
            hint=f"end the site itself: ./dms peers end {row.used_by}",
        )
    with transaction.atomic():
        Invitation.objects.filter(pk=row.pk, ended_at=None).update(ended_at=call.now)
        node_event(call.node, "invitation", f"took back: {row}", actor=call.invoker.did)


@dataclass(frozen=True, slots=True)
class Joined:
    """What has been agreed: with whom, and the token that each side gave."""

    peer: Peer
    gave: Token
    got: Token


def join(call: Call, text: str) -> Joined:
    """Join the site that made the link. Refusal with the reason, from here or from there."""
    link = read(text)
    _may_give(call.invoker, link.asks)
    gave, fresh = _give(link.did, link.asks, moment_of(link.until_ns))
    record = own_record()
    proof = custody.node_key().sign(invitations.proof_bytes(link.holder, record.signature))
    payload = {
        "Record": record.document(),
        "Token": TokenList((gave,)).document(),
        "Proof": proof.hex(),
    }
    try:
        said = _ask(link, payload)
    except (RefusedThere, Unreachable) as refusal:
        if fresh and not (isinstance(refusal, Unreachable) and refusal.step == "answer"):
            _take_back(gave, sent=not (isinstance(refusal, Unreachable) and refusal.again))
        raise
    own = site_identity().did
    got = _received(said.get("Token"), issuer=link.did, subject=own, paths=link.offers)
    theirs = AddressRecord.parse(said.get("Record"), now_ns=time.time_ns())
    if theirs.did != link.did:
        raise Refusal("bad_address_record", f"{link.did} answers with the record of {theirs.did}")
    with transaction.atomic():
        _anchor(Anchor.Kind.REQUIRE, gave)
        _anchor(Anchor.Kind.PROVIDE, got)
        peer = peer_learn(theirs, Peer.Via.JOINED)
        node_event(call.node, "peer", f"joined {peer}", actor=call.invoker.did, peer=peer.did)
    try:
        hello.greet(peer)
    except Refusal as refusal:
        logger.warning("joined %s, but it does not answer hello: %s", peer, refusal.detail)
    peer.refresh_from_db()
    return Joined(peer, gave, got)


def read(text: str) -> Link:
    """Return the invitation in `text`; Refusal when it is damaged, expired, or this site's own."""
    link = Link.parse(text)
    if link.did == site_identity().did:
        raise Refusal(
            "own_invitation",
            "this is an invitation of this site itself",
            status=409,
            hint="open it at the site that is to join: ./dms join LINK there",
        )
    link.check_time(time.time_ns())
    invitations.offered(link.asks, "Link")
    return link


def accept(call: Call, record_document: Any, token_document: Any, proof: str) -> Token:
    """Let the site that holds the link join; return what it is given. The same site may ask again."""
    row = Invitation.objects.filter(did=call.invoker.did).first()
    if row is None:
        raise Refusal(
            "invitation_unknown",
            "this site has made no such invitation",
            status=404,
            hint="is it the link of another site? ./dms invite here makes one",
        )
    _still_good(row)
    record = AddressRecord.parse(record_document, now_ns=time.time_ns())
    own = site_identity()
    if record.did == own.did:
        raise Refusal("own_invitation", "a site cannot join itself", status=409)
    try:
        shown = key_of(record.did).verify(
            invitations.proof_bytes(row.did, record.signature), bytes.fromhex(proof)
        )
    except ValueError:
        shown = False
    if not shown:
        raise Refusal("bad_proof", f"nothing shows that {record.did} itself uses this invitation", status=403)
    got = _received(token_document, issuer=record.did, subject=own.did, paths=row.asks)
    with transaction.atomic():
        # One conditional UPDATE: of two sites at once only one gets in.
        Invitation.objects.filter(pk=row.pk, used_at=None).update(used_at=timezone.now(), used_by=record.did)
        row.refresh_from_db()
        if row.used_by != record.did:
            raise _used(row)
        if row.granted:
            gave = Token.parse(row.granted)
        else:
            gave, _ = _give(record.did, row.offers, row.member_until)
            Invitation.objects.filter(pk=row.pk).update(granted=gave.document())
        _anchor(Anchor.Kind.REQUIRE, gave)
        _anchor(Anchor.Kind.PROVIDE, got)
        peer = peer_learn(record, Peer.Via.INVITED)
        node_event(call.node, "peer", f"{peer} has joined", actor=row.created_by.did, peer=peer.did)
    return gave


def end(call: Call, peer: Peer) -> int:
    """End what was agreed with a site, at once: what it holds of us is revoked, its anchors go. How many tokens."""
    own = site_identity().did
    with transaction.atomic():
        rows = list(TokenRow.objects.filter(issuer=own, subject=peer.did, revoked_at=None))
        for row in rows:
            services.revoke(row)
        for anchor in Anchor.objects.filter(
            context=CONTEXT, kind__in=[Anchor.Kind.REQUIRE, Anchor.Kind.PROVIDE], token__isnull=False
        ):
            token = Token.parse(anchor.token)
            about = token.subject if anchor.kind == Anchor.Kind.REQUIRE else token.issuer
            if about == peer.did:
                anchor.delete()
        node_event(call.node, "peer", f"ended {peer}", actor=call.invoker.did, peer=peer.did)
        peer.delete()
    return len(rows)


def _still_good(row: Invitation) -> None:
    if row.ended_at:
        raise Refusal("invitation_ended", "the invitation has been taken back", status=410)
    if row.expires_at <= timezone.now():
        raise Refusal(
            "invitation_expired", f"the invitation expired on {row.expires_at:%Y-%m-%d %H:%M} UTC", status=410
        )


def _used(row: Invitation) -> Refusal:
    at = f"{row.used_at:%Y-%m-%d %H:%M} UTC" if row.used_at else "before"
    return Refusal(
        "invitation_used",
        f"the invitation has been used by another site ({at})",
        status=409,
        hint="each link is good for one site: ask for a new one",
    )


def _ask(link: Link, payload: dict[str, Any]) -> dict[str, Any]:
    """Ask the inviting site with the key of the link: that is all it needs to be allowed to."""
    nonce = time.time_ns()
    question = compose(
        to=Handle.of_did(link.did),
        behavior=ACCEPT,
        sender=Handle.of_key(link.key.public),
        payload=payload,
        nonce=nonce,
        now_ns=nonce,
        reply_to=f"{REPLY_TO}{nonce}",
    ).sign(link.key)
    to = Destination(question.to, link.addresses)
    data, _, _ = carry(to, question.to_json(), "invoke", PATIENCE_S)
    said = answered(data, question)
    if not isinstance(said, dict) or str(said.get("type", "")).startswith("urn:dms:problem:"):
        raise RefusedThere(said, link.name or link.did, signed=True)
    return said


def _give(did: str, paths: Iterable[str], until: datetime) -> tuple[Token, bool]:
    """Return a delegation of `paths` to another site, one that it holds already where that is as good."""
    wanted = tuple(paths)
    own = site_identity()
    for row in TokenRow.objects.filter(
        issuer=own.did,
        subject=did,
        action="delegate",
        revoked_at=None,
        expires_at__gte=until - timedelta(seconds=1),
    ):
        if tuple(row.capabilities) == wanted and tuple(row.topics) == TOPICS:
            return Token.parse(row.document), False
    return services.grant(own, did, wanted, until - timezone.now(), topics=TOPICS, depth=1), True


def _take_back(token: Token, *, sent: bool) -> None:
    rows = rows_of(token.key)
    if sent:
        for row in rows:
            services.revoke(row)
    else:
        rows.delete()


def _received(document: Any, *, issuer: str, subject: str, paths: Iterable[str]) -> Token:
    """Return the token that the other site gives, when it is what was agreed; Refusal with what is missing."""
    listed = TokenList.of_document(document).tokens
    if len(listed) != 1:
        raise Refusal("bad_token", f"one token is expected, {len(listed)} came")
    token = listed[0]
    verify(token, now_ns=time.time_ns())
    if (
        (token.action, token.issuer, token.subject) != ("delegate", issuer, subject)
        or token.chain
        or token.audience
    ):
        raise Refusal(
            "bad_token",
            f"a delegation of {issuer} to {subject} is expected, "
            f"a token ({token.action}) of {token.issuer} to {token.subject} came",
        )
    missing = tuple(
        Reason("capability", f"{path} is missing", needed=path)
        for path in paths
        if not covered(token.capabilities, (path,))
    )
    if missing:
        lacking = ", ".join(reason.needed for reason in missing)
        raise Refusal("bad_token", f"what was given does not cover {lacking}", reasons=missing)
    return token


def _anchor(kind: str, token: Token) -> None:
    Anchor.objects.get_or_create(
        context=CONTEXT,
        kind=kind,
        key=token.key,
        defaults={"token": token.document(), "expires_at": moment_of(token.expires_ns)},
    )

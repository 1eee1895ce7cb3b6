"""What has to arrive at other sites: rows first, sent by a task, tried again with growing pauses until it has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from capabilities.moments import moment_of
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.tokens import Token, TokenList
from node.models import Outgoing, Peer
from node.reaching import RefusedThere
from node.services.sending import ask, of_peer
from node.wake import wake

logger = logging.getLogger(__name__)
REVOKE = "/dms/cap/revoke/broadcast"
DELIVER = "workers.tasks.peers.deliver"
QUEUE = "network"


def revocation_out(tokens: Sequence[Token]) -> None:
    """Put revocations on their way to every known site but their issuer; in the transaction that keeps them."""
    peers = list(Peer.objects.values_list("pk", "did"))
    if not peers:
        return
    latest = timezone.now() + timedelta(seconds=NUMBERS.outgoing_kept_s)
    Outgoing.objects.bulk_create(
        [
            Outgoing(
                peer_id=pk,
                key=token.key,
                behavior=REVOKE,
                payload=token.document(),
                expires_at=min(moment_of(token.expires_ns), latest),
            )
            for token in tokens
            for pk, did in peers
            if did != token.issuer
        ],
        ignore_conflicts=True,
    )
    wake(DELIVER, queue=QUEUE)


def hurry(peer: Peer) -> None:
    """Send what waits for the site now: it has just shown that it is there."""
    if Outgoing.objects.filter(peer=peer).update(next_try_at=timezone.now()):
        wake(DELIVER, queue=QUEUE)


def due(now: datetime) -> list[Peer]:
    """Return the sites that something has to be sent to; what is too old is given up."""
    if not Outgoing.objects.exists():
        return []
    Outgoing.objects.filter(expires_at__lte=now).delete()
    waiting = Outgoing.objects.filter(next_try_at__lte=now).values("peer")
    return list(Peer.objects.filter(pk__in=waiting).order_by("pk"))


def deliver(peer: Peer) -> int:
    """Send what waits for one site, together; return how many messages it has taken."""
    sent = 0
    while True:
        rows = list(
            Outgoing.objects.filter(peer=peer, next_try_at__lte=timezone.now()).order_by("pk")[
                : NUMBERS.outgoing_at_once
            ]
        )
        if not rows:
            return sent
        try:
            ask(of_peer(peer), REVOKE, {"Token": _together(rows)}, timeout_s=10.0)
        except Refusal as refusal:
            later(rows, refusal)
            return sent
        Outgoing.objects.filter(pk__in=[row.pk for row in rows]).delete()
        sent += len(rows)


def _together(rows: list[Outgoing]) -> dict[str, Any]:
    return TokenList(tuple(Token.parse(row.payload) for row in rows)).document()


def later(rows: list[Outgoing], why: Refusal) -> None:
    """Try again after a pause that doubles; a site that says no is asked less often."""
    tries = rows[0].attempts
    most_s = NUMBERS.outgoing_backoff_max_s
    pause_s = (
        most_s
        if isinstance(why, RefusedThere)
        else min(NUMBERS.outgoing_backoff_s * 2 ** min(tries, 30), most_s)
    )
    with transaction.atomic():
        Outgoing.objects.filter(pk__in=[row.pk for row in rows]).update(
            attempts=F("attempts") + 1,
            next_try_at=timezone.now() + timedelta(seconds=pause_s),
            last_error=why.detail[:500],
        )

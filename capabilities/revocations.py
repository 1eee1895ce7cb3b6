"""Revocations as rows: taken in when they verify, given out in the order they came, told to whoever listens.

Other rooms register what they do with a new one (`revocation_listen`): this room knows no peers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone

from capabilities import selectors
from capabilities.chains import verify
from capabilities.models import Anchor
from capabilities.models import Token as TokenRow
from capabilities.numbers import NUMBERS
from capabilities.tokenform import Token, TokenFault

NS = 1_000_000_000
# What an earlier row in a transaction still open may hide is asked for again: taking one twice changes nothing.
OVERLAP = 50
_listeners: list[Callable[[Token], None]] = []


def revocation_listen(tell: Callable[[Token], None]) -> None:
    """Call `tell` with each revocation that is new here, inside the transaction that keeps it."""
    if tell not in _listeners:
        _listeners.append(tell)


def revocation_publish(token: Token) -> None:
    """Tell everybody who listens of a revocation that has just been kept."""
    for tell in _listeners:
        tell(token)


def revocations_accept(tokens: Iterable[Token], *, publish: bool = True) -> int:
    """Keep the revocations that verify and are new; return how many. TokenFault at the first that does not verify.

    Only the issuer of a token can sign its revocation, so it does not matter who brings it.
    """
    now_ns = time.time_ns()
    listed = list(tokens)
    for token in listed:
        if token.action != "revoke":
            raise TokenFault("bad_token", f"{token.key} is a {token.action} token, no revocation")
        if token.expires_ns >= now_ns:
            verify(token, now_ns=now_ns)
    wanted = {token.key: token for token in listed if token.expires_ns >= now_ns}
    with transaction.atomic():
        known = Anchor.objects.filter(
            context=selectors.CONTEXT, kind=Anchor.Kind.REVOKE, key__in=list(wanted)
        )
        for key in known.values_list("key", flat=True):
            wanted.pop(key, None)
        Anchor.objects.bulk_create(
            [
                Anchor(
                    context=selectors.CONTEXT,
                    kind=Anchor.Kind.REVOKE,
                    key=token.key,
                    token=token.document(),
                    expires_at=datetime.fromtimestamp(min(token.expires_ns / NS, 253_402_300_799), UTC),
                )
                for token in wanted.values()
            ],
            ignore_conflicts=True,
        )
        for token in wanted.values():
            own = TokenRow.objects.filter(issuer=token.issuer, subject=token.subject, revoked_at=None)
            own.filter(nonce=token.key.rsplit("#", 1)[1]).update(revoked_at=timezone.now())
            if publish:
                revocation_publish(token)
    return len(wanted)


def revocations_since(cursor: int, most: int = NUMBERS.revocations_at_once) -> tuple[list[Token], int, bool]:
    """Return what came after `cursor`, oldest first, the cursor to ask with next, and whether there is more."""
    rows = Anchor.objects.filter(context=selectors.CONTEXT, kind=Anchor.Kind.REVOKE, token__isnull=False)
    first = max(0, cursor - OVERLAP)
    found = list(rows.filter(pk__gt=first).order_by("pk").values_list("pk", "token")[: most + OVERLAP + 1])
    more = len(found) > most + OVERLAP
    found = found[: most + OVERLAP]
    return [Token.parse(document) for _, document in found], (found[-1][0] if found else cursor), more

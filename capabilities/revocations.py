"""Revocations as rows: taken in when they verify, given out in the order they came, told to whoever listens.

Other rooms register what they do with a new one (`revocation_listen`): this room knows no peers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from django.db import transaction
from django.utils import timezone

from capabilities import selectors
from capabilities.chains import verify
from capabilities.models import Anchor
from capabilities.models import Token as TokenRow
from capabilities.moments import moment_of
from capabilities.numbers import NUMBERS
from capabilities.tokenform import Token, TokenFault

# What an earlier row in a transaction still open may hide is asked for again: taking one twice changes nothing.
OVERLAP = 50
Listener = Callable[[Sequence[Token]], None]
_listeners: list[Listener] = []


def revocation_listen(tell: Listener) -> None:
    """Call `tell` with the revocations that are new here, inside the transaction that keeps them."""
    if tell not in _listeners:
        _listeners.append(tell)


def revocation_publish(tokens: Sequence[Token]) -> None:
    """Tell everybody who listens of revocations that have just been kept."""
    for tell in _listeners:
        tell(tokens)


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
                    expires_at=moment_of(token.expires_ns),
                )
                for token in wanted.values()
            ],
            ignore_conflicts=True,
        )
        _mark(wanted)
        if publish and wanted:
            revocation_publish(list(wanted.values()))
    return len(wanted)


def _mark(wanted: Mapping[str, Token]) -> None:
    """Note on the tokens issued here that they are revoked."""
    issuers = {token.issuer for token in wanted.values()}
    rows = TokenRow.objects.filter(issuer__in=issuers, revoked_at=None)
    found = [
        pk for pk, *parts in rows.values_list("pk", "issuer", "subject", "nonce") if "#".join(parts) in wanted
    ]
    TokenRow.objects.filter(pk__in=found, revoked_at=None).update(revoked_at=timezone.now())


def revocations_since(cursor: int, most: int = NUMBERS.revocations_at_once) -> tuple[list[Token], int, bool]:
    """Return what came after `cursor`, oldest first, the cursor to ask with next, and whether there is more."""
    rows = Anchor.objects.filter(context=selectors.CONTEXT, kind=Anchor.Kind.REVOKE, token__isnull=False)
    first = max(0, cursor - OVERLAP)
    found = list(rows.filter(pk__gt=first).order_by("pk").values_list("pk", "token")[: most + OVERLAP + 1])
    more = len(found) > most + OVERLAP
    found = found[: most + OVERLAP]
    return [Token.parse(document) for _, document in found], (found[-1][0] if found else cursor), more

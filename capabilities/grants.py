"""Grants that people made and that end: which soon, and giving them again."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from capabilities import services
from capabilities.membership import RoleHolding
from capabilities.models import Identity, Token
from capabilities.refusal import Refusal
from capabilities.renewal import SOON, ends_soon
from capabilities.selectors import site_identity
from capabilities.tokens import Token as Signed


def ending(now: datetime) -> list[Token]:
    """Return the grants that end soon and that no later one replaces; tokens of roles are renewed by themselves."""
    later = Token.objects.filter(
        issuer=OuterRef("issuer"),
        subject=OuterRef("subject"),
        capabilities=OuterRef("capabilities"),
        topics=OuterRef("topics"),
        revoked_at=None,
        expires_at__gt=OuterRef("expires_at"),
    )
    held = RoleHolding.objects.filter(token=OuterRef("pk"))
    rows = Token.objects.filter(revoked_at=None, expires_at__gt=now, expires_at__lte=now + SOON)
    rows = rows.exclude(Exists(held)).exclude(Exists(later)).select_related("owner").order_by("expires_at")
    return [row for row in rows if ends_soon(row.created_at, row.expires_at, now)]


def renew(row: Token, by: Identity | None = None) -> Signed:
    """Give again what `row` gave, for as long as it was given; both count until the first one ends.

    `by`: who asks, None for the machine itself. Only its issuer gives again. Refusal for what is revoked.
    """
    if row.revoked_at is not None:
        raise Refusal(
            "token_revoked",
            f"the token {row.pk} is revoked, which is for good",
            status=409,
            hint="grant it anew: ./dms cap grant",
        )
    lifetime = row.expires_at - row.created_at
    signed = Signed.parse(row.document)
    again = {"topics": row.topics, "depth": signed.depth}
    node = site_identity()
    with transaction.atomic():
        if row.issuer == node.did:
            return services.grant(node, row.subject, row.capabilities, lifetime, **again)
        issuer = by or Identity.objects.get(did=row.issuer)
        return services.delegate(issuer, row.subject, row.capabilities, lifetime, **again)


def warn(now: datetime | None = None) -> list[Token]:
    """Return the grants that end soon and of which nobody has been told yet; each is returned once."""
    found = []
    for row in ending(now or timezone.now()):
        # One conditional UPDATE: of two sweeps only one tells it.
        if Token.objects.filter(pk=row.pk, warned_at=None).update(warned_at=timezone.now()):
            found.append(row)
    return found

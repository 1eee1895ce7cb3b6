"""Reads: the capability context of this site, the tokens of a subject, and what an identity may see."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from capabilities import tokens
from capabilities.anchors import Anchors
from capabilities.context import CapabilityContext
from capabilities.models import Anchor, AuditEntry, Identity, Token
from capabilities.refusal import Refusal
from capabilities.tokenform import key_parts

CONTEXT = "dms"
# Anchors are only ever added and deleted, never changed: what follows tells whether any was, in any process.
STAMP = (
    "SELECT (SELECT did FROM capabilities_identity WHERE kind = 'node' ORDER BY id LIMIT 1), "
    "COUNT(*), SUM(id), MAX(created_at) FROM capabilities_anchor"
)
HELD_MAX = 4096


@dataclass(frozen=True, slots=True)
class _Cached:
    stamp: tuple[Any, ...]
    context: CapabilityContext


_lock = threading.Lock()
_cached: dict[str, _Cached] = {}
_parsed: dict[int, tokens.Token] = {}


def site_identity() -> Identity:
    """Return the identity of the site's first node; Refusal before the first start has made it."""
    identity = Identity.objects.filter(kind=Identity.Kind.NODE).order_by("pk").first()
    if identity is None:
        raise Refusal(
            "node_not_initialized",
            "host node hasn't yet been initialized",
            status=503,
            hint="start the site once with `./dms up`",
        )
    return identity


def site_context() -> CapabilityContext:
    """Return the site's capability context, built anew when an anchor has come or gone in any process."""
    with connection.cursor() as cursor:
        cursor.execute(STAMP)
        row = cursor.fetchone()
    stamp = tuple(row)
    with _lock:
        cached = _cached.get(CONTEXT)
    if cached is not None and cached.stamp == stamp:
        return cached.context
    did = site_identity().did
    context = _load(did)
    with _lock:
        _cached[CONTEXT] = _Cached(stamp, context)
    return context


def forget() -> None:
    """Drop what is cached (another database is in use)."""
    with _lock:
        _cached.clear()
        _parsed.clear()


def tokens_of(did: str) -> tuple[tokens.Token, ...]:
    """Return the unexpired, unrevoked tokens this site has issued to `did`."""
    rows = Token.objects.filter(subject=did, revoked_at=None, expires_at__gt=timezone.now())
    held = []
    for pk, document in rows.values_list("pk", "document"):
        token = _parsed.get(pk)
        if token is None or token.subject != did:
            token = tokens.Token.parse(document)
            if len(_parsed) >= HELD_MAX:
                _parsed.clear()
            _parsed[pk] = token
        held.append(token)
    return tuple(held)


def rows_of(key: str) -> QuerySet[Token]:
    """Return the row of the token with this key (`issuer#subject#nonce`), if it was issued here."""
    issuer, subject, nonce = key_parts(key)
    return Token.objects.filter(issuer=issuer, subject=subject, nonce=nonce)


def revoked_words(did: str, capability: str) -> str:
    """Say when what allowed `capability` to `did` here was revoked; nothing when nothing was."""
    rows = Token.objects.filter(subject=did, revoked_at__isnull=False).order_by("-revoked_at")
    for paths, at in rows.values_list("capabilities", "revoked_at")[:20]:
        if at is not None and any(tokens.implies(path, capability) for path in paths):
            return f"what allowed it was revoked on {at:%Y-%m-%d %H:%M:%S} UTC"
    return ""


def tokens_visible_to(identity: Identity, root: bool) -> QuerySet[Token]:
    """Return the tokens `identity` may see: all for a root, else what she was given and what she handed on."""
    rows = Token.objects.select_related("owner")
    return rows if root else rows.filter(Q(owner=identity) | Q(issuer=identity.did))


def audit_visible_to(identity: Identity, root: bool) -> QuerySet[AuditEntry]:
    """Return the audit entries `identity` may see: all for a root, else what she did herself."""
    rows = AuditEntry.objects.all()
    return rows if root else rows.filter(actor=identity.did)


def anchors_in(rows: QuerySet[Anchor], *, revocations: bool = True) -> Anchors:
    """Return what anchors say as rows; without `revocations` only the keys of what is revoked, which is cheaper."""
    lists: dict[str, list[tokens.Token]] = {Anchor.Kind.REQUIRE: [], Anchor.Kind.PROVIDE: []}
    roots: set[str] = set()
    revoked: dict[str, str | tokens.Token] = {}
    for kind, key, document in rows.order_by("pk").values_list("kind", "key", "token"):
        if kind == Anchor.Kind.ROOT:
            roots.add(key)
        elif kind == Anchor.Kind.REVOKE:
            revoked[key] = tokens.Token.parse(document) if revocations and document else key
        else:
            lists[kind].append(tokens.Token.parse(document))
    require, provide = (tuple(lists[kind]) for kind in (Anchor.Kind.REQUIRE, Anchor.Kind.PROVIDE))
    return Anchors(frozenset(roots), require, provide, revoked)


def _load(did: str) -> CapabilityContext:
    held = anchors_in(Anchor.objects.filter(context=CONTEXT), revocations=False)
    # An anchor that is revoked, anywhere in its chain, lets nobody in and is lent to nobody.
    require, provide = (
        [token for token in listed if not any(link.key in held.revoked for link in token.links())]
        for listed in (held.require, held.provide)
    )
    return CapabilityContext(did, held.roots, require, provide, held.revoked)

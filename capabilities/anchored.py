"""The anchors of a context for people to look at: the newest of each kind, and how many there are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from capabilities.contexts import context_get
from capabilities.models import Anchor
from capabilities.tokenform import Token, key_parts

SHOWN = 50


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchor. `token` is None of a root, whose `key` is its DID, and of a revocation that came as a key alone."""

    kind: str
    key: str
    token: Token | None = None
    expires_at: datetime | None = None

    @property
    def issuer(self) -> str:
        """Who signed it; empty for a root."""
        return key_parts(self.key)[0] if self.subject else ""

    @property
    def subject(self) -> str:
        """Whom it is for; empty for a root."""
        return key_parts(self.key)[1]

    @property
    def dids(self) -> set[str]:
        """Return everybody whom it is about."""
        return {self.issuer, self.subject} if self.subject else {self.key}


def anchored(name: str, now: datetime) -> tuple[str, dict[str, list[AnchorRow]], dict[str, int]]:
    """Return whose context `name` is, the newest unexpired anchors of each kind, and how many there are of each."""
    did = context_get(name).did
    rows = Anchor.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), context=name)
    counts = dict(rows.order_by().values_list("kind").annotate(Count("pk")))
    found: dict[str, list[AnchorRow]] = defaultdict(list)
    for kind in Anchor.Kind.values:
        newest = rows.filter(kind=kind).order_by("-pk")[:SHOWN] if kind in counts else ()
        found[kind] = [_row(row) for row in newest]
    return did, dict(found), counts


def _row(row: Anchor) -> AnchorRow:
    return AnchorRow(row.kind, row.key, Token.parse(row.token) if row.token else None, row.expires_at)

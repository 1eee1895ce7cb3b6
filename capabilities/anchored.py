"""The anchors of a context for people to look at: the newest of each kind, and how many there are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from capabilities.contexts import context_get
from capabilities.models import Anchor
from capabilities.tokens import Token

SHOWN = 50


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchor. Of a root only `key` (its DID); of a revocation that came as a key alone no paths."""

    kind: str
    key: str
    issuer: str = ""
    subject: str = ""
    audience: str = ""
    capabilities: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    depth: int = 0
    expires_at: datetime | None = None

    @property
    def dids(self) -> set[str]:
        """Return everybody whom it is about."""
        return {self.issuer, self.subject, self.key} - {""}


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
    if not row.token:
        issuer, _, rest = row.key.partition("#")
        subject = rest.partition("#")[0]
        return AnchorRow(row.kind, row.key, issuer if subject else "", subject)
    token = Token.parse(row.token)
    return AnchorRow(
        row.kind,
        row.key,
        token.issuer,
        token.subject,
        token.audience,
        token.capabilities,
        token.topics,
        token.depth,
        row.expires_at,
    )

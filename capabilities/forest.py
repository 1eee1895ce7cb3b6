"""What this site has granted, as trees: every token under the one it rests on, with what it is worth now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q, QuerySet

from capabilities import grants, selectors
from capabilities.models import Token
from capabilities.moments import moment_of
from capabilities.tokens import Token as Signed

# A tree that is wider is cut, and says so: whoever wants all of it has REST and the command line.
BRANCHES_MAX = 500


@dataclass(slots=True)
class Branch:
    """One token. `state`: in force, ends soon, expired, revoked, or void, which `why` explains."""

    row: Token
    state: str
    why: str = ""
    children: list[Branch] = field(default_factory=list)

    @property
    def counts(self) -> bool:
        """Say whether it lets somebody do something."""
        return self.state in ("in force", "ends soon")


def tops(visible: QuerySet[Token], now: datetime, *, words: str = "", past: bool = False) -> QuerySet[Token]:
    """Return the tokens that rest on none that is `visible`, newest first; `past`: also what counts no longer.

    `words` looks for a name or DID of its holder, or for a path, in a tree's first token.
    """
    rows = visible.filter(Q(parent=None) | ~Q(parent__in=visible.values("pk")))
    if not past:
        rows = rows.filter(revoked_at=None, expires_at__gt=now)
    if words:
        rows = rows.filter(
            Q(owner__name__icontains=words) | Q(subject__icontains=words) | Q(capabilities__icontains=words)
        )
    return rows.order_by("-pk")


def grow(
    roots: Sequence[Token], visible: QuerySet[Token], now: datetime, *, past: bool = False
) -> list[Branch]:
    """Return a tree for each of `roots`, with what was derived from them at any depth."""
    by_parent: dict[int, list[Token]] = defaultdict(list)
    found, level = 0, [row.pk for row in roots]
    while level and found < BRANCHES_MAX:
        rows = visible.filter(parent__in=level).order_by("pk")
        if not past:
            rows = rows.filter(revoked_at=None, expires_at__gt=now)
        below = list(rows[: BRANCHES_MAX - found])
        for row in below:
            by_parent[row.parent_id or 0].append(row)
        found, level = found + len(below), [row.pk for row in below]
    soon = {row.pk for row in grants.ending(now)}
    revoked = selectors.site_context().anchors.revoked
    return [_branch(row, by_parent, now, soon, revoked) for row in roots]


def state_of(row: Token, now: datetime, soon: Container[int], revoked: Container[str]) -> tuple[str, str]:
    """Return what a token is worth, and why when that is not in the token itself."""
    if row.revoked_at is not None:
        return "revoked", ""
    if row.expires_at <= now:
        return "expired", ""
    for link in list(Signed.parse(row.document).links())[1:]:
        if link.key in revoked:
            return "void", "what it rests on is revoked"
        if moment_of(link.expires_ns) <= now:
            return "void", "what it rests on has expired"
    return ("ends soon", "") if row.pk in soon else ("in force", "")


def dids(branches: Iterable[Branch]) -> set[str]:
    """Return everybody who gives or holds something in the trees."""
    found: set[str] = set()
    for branch in branches:
        found |= {branch.row.issuer, branch.row.subject} | dids(branch.children)
    return found


def _branch(
    row: Token,
    by_parent: dict[int, list[Token]],
    now: datetime,
    soon: Container[int],
    revoked: Container[str],
) -> Branch:
    state, why = state_of(row, now, soon, revoked)
    children = [_branch(child, by_parent, now, soon, revoked) for child in by_parent[row.pk]]
    return Branch(row, state, why, children)

"""Reading the audit log, filtered, however long it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from capabilities.models import AuditEntry
from capabilities.refusal import Reason, Refusal

# What an entry says, and what its seal covers.
SAID = (
    "id",
    "at",
    "actor",
    "path",
    "outcome",
    "reason",
    "source",
    "remote_addr",
    "request",
    "token_chain",
    "changes",
)


def entries(
    *,
    who: str = "",
    path: str = "",
    about: str = "",
    outcome: str | None = None,
    since: str = "",
    until: str = "",
    newest_first: bool = False,
    limit: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield entries as JSON objects. `path` means itself and what is below it, `about` the key or name of whatever was
    asked for or changed. Refusal for what is no time."""
    rows = AuditEntry.objects.order_by("-id" if newest_first else "id")
    if who:
        rows = rows.filter(actor=who)
    if path:
        rows = rows.filter(below(path))
    if about:
        rows = rows.filter(touching(about))
    if outcome:
        rows = rows.filter(outcome=outcome)
    if since:
        rows = rows.filter(at__gte=moment(since, "since"))
    if until:
        rows = rows.filter(at__lt=moment(until, "until"))
    found = rows.values(*SAID, "seal")
    for row in (found[:limit] if limit else found).iterator(chunk_size=1_000):
        yield row | {"at": row["at"].astimezone(UTC).isoformat()}


def below(path: str) -> Q:
    """Return the entries of a behavior and of what is below it."""
    return Q(path=path) | Q(path__startswith=f"{path.rstrip('/')}/")


def touching(key: str) -> Q:
    """Return the entries that asked for something of this key, or changed it."""
    quoted = json.dumps(key)
    return Q(request__icontains=quoted) | Q(changes__icontains=quoted)


def moment(text: str, field: str) -> datetime:
    """Return a time given in ISO 8601, in UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            "invalid_request",
            f"{text[:40]!r} is no time",
            hint="write 2027-01-31 or 2027-01-31T12:00Z",
            reasons=(Reason("time", "no time", field),),
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

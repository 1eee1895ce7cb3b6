"""`get events`: timelines of deployments, allocations and nodes, filtered, and as files."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from deployments.spans import point
from dmsweb.cli.output import Output, table
from dmsweb.cli.session import Session


def events(
    session: Session,
    *,
    deployment: str,
    allocation: str,
    node: str,
    kind: str,
    actor: str,
    since: str,
    until: str,
    export: str | None,
    search: str,
    sort: str,
    limit: int,
    offset: int,
) -> None:
    """Print one page of events, newest first, or all of them as JSON Lines or CSV."""
    now = datetime.now(UTC)
    params: dict[str, Any] = {
        "deployment": deployment and session.get(f"/deployments/{deployment}/")["id"],
        "allocation": allocation,
        "node__name": node,
        "kind__in": kind,
        "actor": actor,
        "at__gte": since and point("--since", since, now).isoformat(),
        "at__lte": until and point("--until", until, now).isoformat(),
        "search": search,
        "ordering": sort,
    }
    params = {name: value for name, value in params.items() if value}
    path = "/node-events/" if node else "/events/"
    if export:
        for chunk in session.stream(f"{path}export/", **params, **{"as": export}):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    page = session.get(path, limit=limit, offset=offset, **params)

    def people(out: Output) -> None:
        rows = [[item["at"][:19].replace("T", " "), item["kind"], item["text"]] for item in page["items"]]
        out.table(table(["at", "kind", "text"], rows))
        out.line(f"{len(page['items'])} of {page['total']}")

    session.show(page, people)

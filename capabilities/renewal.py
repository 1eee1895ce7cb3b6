"""When a grant ends soon: early enough that somebody can renew it at leisure. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

SOON: Final = timedelta(days=14)
SHARE: Final = 4


def ends_soon(created_at: datetime, expires_at: datetime, now: datetime) -> bool:
    """Say whether a grant is in the last quarter of its life, and its last fortnight; False once it has ended."""
    return now < expires_at <= now + min(SOON, (expires_at - created_at) / SHARE)

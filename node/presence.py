"""Whether a node is there: computed from when it was last seen, never stored."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from capabilities.numbers import NUMBERS
from node.models import Node

# A node is called gone once this many usage samples in a row are missing.
MISSED_SAMPLES = 6


def node_state(node: Node | None, now: datetime | None = None) -> str:
    """Return the word for a node's state: ready, draining, drained, not onboarded, gone, unknown.

    Reads `node.onboarding`.
    """
    if node is None or node.last_seen_at is None:
        return "unknown"
    age_s = ((now or timezone.now()) - node.last_seen_at).total_seconds()
    if age_s > NUMBERS.usage_sample_s * MISSED_SAMPLES:
        return "gone"
    if node.draining_at is not None:
        return "draining" if node.drained_at is None else "drained"
    return "ready" if hasattr(node, "onboarding") else "not onboarded"

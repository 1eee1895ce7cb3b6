"""Tell higher rooms that resources of a node may have come free, without knowing them.

    freed.send(sender=None, node_id=node.pk)

Sent inside the transaction that frees them: by the ledger when it lets go of lines or ports, when what is
onboarded changes, and when a node is no longer drained. Receivers only wake workers; a lost wake-up is found by
the sweep.
"""

from __future__ import annotations

from django.dispatch import Signal

freed = Signal()

"""Nonces that have been accepted, remembered until their envelopes have expired, across restarts and restores."""

from __future__ import annotations

import hashlib
import threading
import time

from django.db import connections, router

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.envelope import Envelope
from node.models import SeenNonce

NS = 1_000_000_000
# The row that says up to which end messages are refused since a restore; no hash looks like it.
FLOOR = "floor"
INSERT = """
    INSERT INTO node_seennonce (key, expires_ns) SELECT %s, %s
    WHERE NOT EXISTS (SELECT 1 FROM node_seennonce WHERE key = %s AND expires_ns >= %s) ON CONFLICT DO NOTHING
"""

_lock = threading.Lock()
_next_purge: dict[str, float] = {}


def key_of_envelope(envelope: Envelope) -> str:
    """Return what is remembered of an envelope: the hash of its sender's id and its nonce."""
    text = f"{envelope.sender.id_text()}#{envelope.nonce}"
    return hashlib.sha256(text.encode()).hexdigest()


def accept(envelope: Envelope, now_ns: int) -> None:
    """Remember the nonce of `envelope`; Refusal `message_replayed` when it is remembered already.

    One statement decides, so that of two copies arriving at once, in any two processes, one is refused.
    """
    purge_when_due(now_ns)
    with connections[router.db_for_write(SeenNonce)].cursor() as cursor:
        # Beyond what a database integer holds, the moment is centuries away all the same.
        ends_ns = min(envelope.expires_ns, 2**63 - 1)
        cursor.execute(INSERT, [key_of_envelope(envelope), ends_ns, FLOOR, ends_ns])
        if cursor.rowcount == 1:
            return
    _refuse_below_floor(ends_ns, now_ns)
    raise Refusal(
        "message_replayed",
        f"message {envelope.nonce} of {envelope.sender.id_did} has been received before",
        status=409,
        hint="each message needs a nonce of its own",
    )


def _refuse_below_floor(ends_ns: int, now_ns: int) -> None:
    floor = SeenNonce.objects.filter(key=FLOOR, expires_ns__gte=ends_ns).first()
    if floor is None:
        return
    wait_s = max(1, -(-(floor.expires_ns - now_ns) // NS))
    raise Refusal(
        "message_before_restore",
        "this site was restored from a backup and cannot know whether it has received this message before",
        status=409,
        hint=f"send it again in {wait_s} s, or with an expiry after {floor.expires_ns} ns",
        retry_after_s=wait_s,
    )


def floor_set(until_ns: int) -> None:
    """Refuse every message that ends before `until_ns`: which of them were accepted is not known (a restore)."""
    SeenNonce.objects.update_or_create(key=FLOOR, defaults={"expires_ns": until_ns})


def purge(now_ns: int) -> int:
    """Forget the nonces whose envelopes have been expired for long enough; return how many."""
    before = now_ns - int(NUMBERS.nonce_kept_after_s * NS)
    return SeenNonce.objects.filter(expires_ns__lt=before).delete()[0]


def purge_when_due(now_ns: int) -> None:
    """Purge once every `nonce_purge_s` of this process' life."""
    now = time.monotonic()
    with _lock:
        if now < _next_purge.get("at", 0.0):
            return
        _next_purge["at"] = now + NUMBERS.nonce_purge_s
    purge(now_ns)

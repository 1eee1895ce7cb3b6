"""Nonces that have been accepted, remembered until their envelopes have expired, across restarts."""

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
INSERT = "INSERT INTO node_seennonce (key, expires_ns) VALUES (%s, %s) ON CONFLICT DO NOTHING"

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
        cursor.execute(INSERT, [key_of_envelope(envelope), min(envelope.expires_ns, 2**63 - 1)])
        if cursor.rowcount == 1:
            return
    raise Refusal(
        "message_replayed",
        f"message {envelope.nonce} of {envelope.sender.id_did} has been received before",
        status=409,
        hint="each message needs a nonce of its own",
    )


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

"""Other sites: who they are, what is on its way to them, and invitations that have been made."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from capabilities.models import Identity
from capabilities.recorder import Recorded


class Peer(Recorded):
    """A site this one knows: it was invited, it invited us, or it said hello and was allowed to."""

    not_recorded = (
        "record",
        "used_address",
        "last_seen_at",
        "last_error",
        "last_error_at",
        "rtt_ms",
        "clock_offset_ms",
        "revocations_seen",
    )

    class Via(models.TextChoices):
        """How it came to be known."""

        INVITED = "invited"
        JOINED = "joined"
        HELLO = "hello"

    # Said by the peer itself, signed.
    did = models.CharField(max_length=160, unique=True, help_text="did:key of the site's node.")
    name = models.CharField(max_length=64, blank=True, help_text="What it calls itself.")
    addresses = models.JSONField(default=list, blank=True, help_text="Where it can be reached, as it says.")
    record = models.JSONField(null=True, blank=True, editable=False, help_text="Its signed address record.")
    # Known here.
    via = models.CharField(max_length=8, choices=Via.choices)
    since = models.DateTimeField(default=timezone.now, editable=False)
    # Measured.
    used_address = models.CharField(max_length=500, blank=True, editable=False, help_text="Worked last.")
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=500, blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, blank=True, editable=False)
    rtt_ms = models.FloatField(null=True, blank=True, editable=False)
    clock_offset_ms = models.BigIntegerField(
        null=True, blank=True, editable=False, help_text="Its clock less ours, at the last hello."
    )
    revocations_seen = models.BigIntegerField(
        default=0, editable=False, help_text="Up to where its revocations are known here."
    )

    class Meta:
        ordering = ["name", "did"]

    def __str__(self) -> str:
        return self.name or self.did

    @property
    def state(self) -> str:
        """Whether it answered at the last try: reachable, unreachable, or unknown before the first."""
        if self.last_error_at and (self.last_seen_at is None or self.last_error_at >= self.last_seen_at):
            return "unreachable"
        return "reachable" if self.last_seen_at else "unknown"


class Outgoing(models.Model):
    """One message for a peer that has to arrive: kept and tried again until it has, or its time is over."""

    peer = models.ForeignKey(Peer, on_delete=models.CASCADE, related_name="outgoing")
    key = models.CharField(max_length=300, help_text="What it is, so that it is kept once.")
    behavior = models.CharField(max_length=255)
    payload = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now, db_index=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "outgoing"
        constraints = [models.UniqueConstraint(fields=["peer", "key"], name="outgoing_once")]

    def __str__(self) -> str:
        return f"{self.behavior} for {self.peer}"


class Invitation(Recorded):
    """An invitation to join: good for one site, until it expires or is taken back.

    Its link carries a private key; only the DID of its public key is kept here. A token lets that DID, and nobody
    else, call the one behavior that accepts it.
    """

    not_recorded = ("granted",)

    did = models.CharField(max_length=160, unique=True, editable=False, help_text="Of the key in the link.")
    note = models.CharField(max_length=100, blank=True, help_text="Whom it is for.")
    offers = models.JSONField(default=list, help_text="What the joining site may call here.")
    asks = models.JSONField(default=list, help_text="What this site may call there.")
    created_by = models.ForeignKey(Identity, on_delete=models.PROTECT, related_name="invitations")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(db_index=True)
    member_until = models.DateTimeField(help_text="When what it grants ends.")
    used_at = models.DateTimeField(null=True, blank=True, editable=False)
    used_by = models.CharField(max_length=160, blank=True, editable=False, help_text="DID of who joined.")
    granted = models.JSONField(null=True, blank=True, editable=False, help_text="The token it was given.")
    ended_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Taken back.")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.note or f"invitation of {self.created_at:%Y-%m-%d}"

    @property
    def state(self) -> str:
        """Open, used, expired or ended."""
        if self.used_at:
            return "used"
        if self.ended_at:
            return "ended"
        return "expired" if self.expires_at <= timezone.now() else "open"

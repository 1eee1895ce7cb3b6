"""Commands that people run inside allocations."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from capabilities.models import Identity


class ExecSession(models.Model):
    """One command run inside an allocation by somebody: asked for (its ticket waits), open, ended.

    `opened_at` is set by one conditional UPDATE, so that a ticket lets in once. An open session is seen every few
    seconds by the process that carries it; one that is no longer seen has been lost with that process.
    """

    allocation = models.ForeignKey(
        "deployments.Allocation", on_delete=models.CASCADE, related_name="exec_sessions"
    )
    owner = models.ForeignKey(Identity, on_delete=models.PROTECT, related_name="exec_sessions")
    execution_id = models.CharField(max_length=80, help_text="The attempt it runs in.")
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="Of the ticket.")
    command = models.JSONField(default=list, blank=True, help_text="Its words; empty: a shell.")
    tty = models.BooleanField(default=False)
    rows = models.PositiveIntegerField(default=24)
    columns = models.PositiveIntegerField(default=80)
    term = models.CharField(max_length=40, blank=True)
    user = models.CharField(
        max_length=64, blank=True, help_text="Whose rights inside; empty: the workload's."
    )
    source = models.CharField(max_length=16, blank=True, help_text="web, rest or cli.")
    remote_addr = models.CharField(max_length=64, blank=True)
    handle = models.CharField(
        max_length=160, blank=True, editable=False, help_text="The executor's name of it."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(help_text="The ticket must be used by then.")
    opened_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    reason = models.CharField(max_length=40, blank=True, help_text="Why it ended other than by itself.")
    bytes_in = models.BigIntegerField(default=0)
    bytes_out = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["ended_at", "seen_at"], name="exec_session_open")]

    def __str__(self) -> str:
        return f"exec by {self.owner} in {self.allocation_id}"

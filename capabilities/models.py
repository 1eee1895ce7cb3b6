"""Identities, tokens, anchors and the audit log as rows. Whether something is allowed is decided by pure code."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from capabilities.membership import Membership, Organisation, Role, RoleHolding, Team, TeamMembership
from capabilities.recorder import Recorded

__all__ = [
    "Anchor",
    "AuditEntry",
    "AuditSeal",
    "Context",
    "Identity",
    "Membership",
    "Organisation",
    "Role",
    "RoleHolding",
    "Team",
    "TeamMembership",
    "Token",
]


class Identity(models.Model):
    """A DID this site knows. Owners, invokers and nodes are identities; a web user has exactly one."""

    class Kind(models.TextChoices):
        """What stands behind the DID."""

        NODE = "node"
        USER = "user"
        PEER = "peer"

    did = models.CharField(max_length=160, unique=True, help_text="did:key of the public key.")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=150, help_text="What people see in place of the DID.")
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="identity"
    )
    sealed_key = models.BinaryField(
        null=True, blank=True, editable=False, help_text="Private key, encrypted under the site's key."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "identities"

    def __str__(self) -> str:
        return self.name or self.did


class Anchor(Recorded):
    """One entry of a capability context: a root DID, or a token under require, provide or revoke."""

    class Kind(models.TextChoices):
        """Which of the context's four lists the entry belongs to."""

        ROOT = "root"
        REQUIRE = "require"
        PROVIDE = "provide"
        REVOKE = "revoke"

    # Rows that are written past conflicts have no primary key yet.
    recorded_key = "key"

    context = models.CharField(max_length=64, default="dms", help_text="Name of the capability context.")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    key = models.CharField(max_length=255, help_text="DID of a root; issuer#subject#nonce of a token.")
    token = models.JSONField(null=True, blank=True, help_text="The token; empty for a root.")
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["context", "kind", "key"], name="anchor_once_per_context")
        ]

    def __str__(self) -> str:
        return f"{self.context} {self.kind} {self.key}"


class Context(Recorded):
    """A capability context beside the node's own (`dms`): a name for one key's anchors."""

    recorded_key = "name"

    name = models.CharField(max_length=64, unique=True)
    did = models.CharField(max_length=160, help_text="Whose context it is.")
    key_name = models.CharField(max_length=64, help_text="Its key in the keystore.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Token(Recorded):
    """A capability token this site has issued to one of its identities (a role, an API token)."""

    not_recorded = ("nonce", "document", "warned_at")

    owner = models.ForeignKey(Identity, on_delete=models.CASCADE, related_name="tokens")
    issuer = models.CharField(max_length=160)
    subject = models.CharField(max_length=160, db_index=True)
    action = models.CharField(max_length=12)
    capabilities = models.JSONField(default=list, help_text="Capability paths.")
    topics = models.JSONField(default=list, blank=True)
    nonce = models.CharField(max_length=32)
    document = models.JSONField(help_text="The signed token as it goes over the wire.")
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="children",
        help_text="The token issued here that it rests on.",
    )
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    warned_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When it was told that it ends soon."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject", "nonce"], name="token_key_once")]

    def __str__(self) -> str:
        return f"{self.action} {', '.join(self.capabilities)} for {self.subject}"


class AuditEntry(models.Model):
    """One invocation that changed something or was refused: who, what, from where, with which outcome."""

    class Outcome(models.TextChoices):
        """How the invocation ended."""

        ALLOWED = "allowed"
        REFUSED = "refused"
        FAILED = "failed"

    at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    actor = models.CharField(max_length=160, db_index=True, help_text="DID of the invoker.")
    path = models.CharField(max_length=255, db_index=True, help_text="Behavior.")
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    reason = models.TextField(blank=True)
    source = models.CharField(max_length=16, help_text="web, rest, cli, admin or peer.")
    remote_addr = models.CharField(max_length=64, blank=True)
    request = models.JSONField(default=dict, blank=True, help_text="The request, secrets removed.")
    token_chain = models.JSONField(default=list, blank=True, help_text="Keys of the tokens it rested on.")
    changes = models.JSONField(
        default=list, blank=True, help_text="Each row that it changed: before and after, secrets left out."
    )
    seal = models.PositiveIntegerField(
        null=True, editable=False, help_text="Number of the seal that holds it; empty for a second."
    )

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["seal", "id"], name="audit_of_seal"),
            models.Index(fields=["id"], condition=models.Q(seal=None), name="audit_unsealed"),
        ]

    def __str__(self) -> str:
        return f"{self.path} {self.outcome}"


class AuditSeal(models.Model):
    """A signed batch of audit entries, chained to the one before; see `capabilities.sealing`."""

    number = models.PositiveIntegerField(primary_key=True)
    previous = models.CharField(max_length=64, blank=True, help_text="Digest of the seal before it.")
    digest = models.CharField(max_length=64)
    signature = models.CharField(max_length=160, help_text="Of the node over the digest, in hex.")
    leaves = models.BinaryField(help_text="Id and digest of each entry.")
    entries = models.PositiveIntegerField(help_text="How many entries it holds.")
    last_at = models.DateTimeField(help_text="The latest of its entries.")
    sealed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"seal {self.number}"

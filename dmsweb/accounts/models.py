"""People who log in. What they may do is decided by the capabilities of their DID, not by flags here."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from knox.models import AbstractAuthToken, AuthTokenManager

from capabilities.recorder import Recorded, RecordedRows, recorded
from capabilities.scope import Scope


@recorded
class User(AbstractUser):  # type: ignore[django-manager-missing]
    """A person with a password; her DID and its key are the `identity` beside it."""

    not_recorded = ("last_login",)

    time_zone = models.CharField(
        max_length=64, blank=True, default="", help_text="IANA name; empty means the browser's zone."
    )


class LoginLink(models.Model):
    """A one-time way in, printed by `./dms user login-link`; only its SHA-256 is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_links")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"login link of {self.user} until {self.expires_at:%Y-%m-%d %H:%M}"


class PersonInvitation(Recorded):
    """A single-use link that makes one account with a role; only its SHA-256 is kept."""

    not_recorded = ("digest",)

    digest = models.CharField(max_length=64, unique=True)
    role = models.ForeignKey("capabilities.Role", on_delete=models.CASCADE, related_name="+")
    team = models.ForeignKey(
        "capabilities.Team", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    name = models.CharField(max_length=150, blank=True, help_text="A name to begin with.")
    created_by = models.ForeignKey(
        "capabilities.Identity", null=True, on_delete=models.CASCADE, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    def __str__(self) -> str:
        return (
            f"invitation of {self.name or 'somebody'} as {self.role} until {self.expires_at:%Y-%m-%d %H:%M}"
        )


@recorded
class ApiToken(AbstractAuthToken):  # type: ignore[misc]
    """A revocable API token, hashed at rest, with the name its owner gave it."""

    not_recorded = ("digest",)
    recorded_key = "token_key"  # the primary key is the digest

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="auth_token_set")
    name = models.CharField(max_length=64, blank=True, help_text="What the token is for.")
    capabilities = models.JSONField(
        default=list, blank=True, help_text="Paths that it is for; none: all that its owner may do."
    )
    deployment = models.CharField(
        max_length=64, blank=True, help_text="Id of the only deployment that it is for."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = AuthTokenManager.from_queryset(RecordedRows)()

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.name or 'token'} of {self.user}"

    @property
    def scope(self) -> Scope:
        """What it lets through of what its owner may do."""
        return Scope(tuple(self.capabilities), self.deployment, self.expiry)

"""Roles and who holds them; organisations, their teams, and who belongs to them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from capabilities.recorder import Recorded


class Role(Recorded):
    """A named set of capabilities; built-in ones are written by the code, the others by people."""

    name = models.CharField(max_length=32, unique=True)
    title = models.CharField(max_length=200, blank=True, help_text="What it is for, in a sentence.")
    capabilities = models.JSONField(default=list, help_text="Capability paths.")
    built_in = models.BooleanField(default=False, help_text="Kept up to date by each release.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RoleHolding(Recorded):
    """Which role a person has on this site, and the token that makes it count; a root needs no token."""

    identity = models.OneToOneField("capabilities.Identity", on_delete=models.CASCADE, related_name="holding")
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="holdings")
    token = models.OneToOneField(
        "capabilities.Token", null=True, blank=True, on_delete=models.SET_NULL, related_name="holding"
    )
    since = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.identity} is {self.role}"


class Organisation(Recorded):
    """People who work together; its owners and admins look after its teams."""

    name = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(Recorded):
    """A person's place in an organisation."""

    class Level(models.TextChoices):
        """What she may do with the organisation: an owner everything, an admin its members and teams."""

        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    identity = models.ForeignKey(
        "capabilities.Identity", on_delete=models.CASCADE, related_name="memberships"
    )
    level = models.CharField(max_length=8, choices=Level.choices, default=Level.MEMBER)
    since = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "identity"], name="member_once_per_organisation")
        ]

    def __str__(self) -> str:
        return f"{self.identity} is {self.level} of {self.organisation}"


class Team(Recorded):
    """Some members of an organisation who share deployments."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="teams")
    name = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["organisation__name", "name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="team_once_per_name")]

    def __str__(self) -> str:
        return f"{self.organisation}/{self.name}"


class TeamMembership(Recorded):
    """A person in a team. Her role there says what she may do with what belongs to the team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    identity = models.ForeignKey(
        "capabilities.Identity", on_delete=models.CASCADE, related_name="team_memberships"
    )
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="team_memberships")
    since = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "identity"], name="member_once_per_team")]

    def __str__(self) -> str:
        return f"{self.identity} is {self.role} in {self.team}"

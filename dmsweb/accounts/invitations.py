"""Invitations of people: a single-use link with a role, made by who may give that role."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from capabilities.models import Identity, Membership, TeamMembership
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal, not_found
from capabilities.services import identity_for_user
from capabilities.teams import looks_after, team_get
from dmsweb.accounts.models import PersonInvitation, User
from dmsweb.accounts.roles import may_give, role_assign, role_get
from dmsweb.accounts.services import user_create

SESSION_KEY = "dms_invitation"
DAY_S = 86_400.0


def invite(
    *, by: Identity, role: str, days: float | None = None, name: str = "", team: str = ""
) -> tuple[PersonInvitation, str]:
    """Make an invitation and return it with the path of its link, which is not kept."""
    lifetime_s = NUMBERS.person_invitation_lifetime_s if days is None else days * DAY_S
    if not 0 < lifetime_s <= NUMBERS.person_invitation_lifetime_max_s:
        most = NUMBERS.person_invitation_lifetime_max_s / DAY_S
        text = f"an invitation counts for more than 0 and at most {most:g} days"
        raise Refusal("invalid_request", text, status=422, reasons=(Reason("range", text, "Days"),))
    wanted = role_get(role)
    may_give(by, wanted.capabilities, f"the role {wanted}")
    found = team_get(by, team) if team else None
    if found is not None:
        looks_after(by, found.organisation)
    secret = secrets.token_urlsafe(32)
    row = PersonInvitation.objects.create(
        digest=_digest(secret),
        role=wanted,
        team=found,
        name=name[:150],
        created_by=by,
        expires_at=timezone.now() + timedelta(seconds=lifetime_s),
    )
    return row, reverse("invited", args=[secret])


def invitations_open() -> QuerySet[PersonInvitation]:
    """Return the invitations that can still be used, newest first."""
    rows = PersonInvitation.objects.filter(used_at=None, expires_at__gt=timezone.now())
    return rows.select_related("role", "created_by", "team__organisation").order_by("-created_at")


def invitation_find(secret: str) -> PersonInvitation:
    """Return the invitation that counts; Refusal says whether it is used, over or unknown."""
    row = (
        PersonInvitation.objects.filter(digest=_digest(secret))
        .select_related("role", "created_by", "team__organisation")
        .first()
    )
    if row is None:
        raise _spent("this invitation is not known here, or was taken back")
    if row.used_at is not None:
        raise _spent("this invitation has been used")
    if row.expires_at <= timezone.now():
        raise _spent(f"this invitation ended at {row.expires_at:%Y-%m-%d %H:%M} UTC")
    return row


def invitation_accept(secret: str, name: str, password: str) -> User:
    """Make the account that the invitation is for; of two who use it at once one gets in."""
    with transaction.atomic():
        row = invitation_find(secret)
        user = user_create(name, password, role=row.role.name, by=row.created_by)
        _use_up(row, user)
    return user


def invitation_spend(secret: str, user: User) -> None:
    """Give an account that an identity provider has made what the invitation says."""
    with transaction.atomic():
        row = invitation_find(secret)
        role_assign(user, row.role.name, by=row.created_by)
        _use_up(row, user)


def invitation_revoke(pk: int) -> None:
    """Take an invitation back."""
    if not invitations_open().filter(pk=pk).order_by().delete()[0]:
        raise not_found("invitation", pk)


def _use_up(row: PersonInvitation, user: User) -> None:
    open_ = PersonInvitation.objects.filter(pk=row.pk, used_at=None)
    if open_.update(used_at=timezone.now(), used_by=user) != 1:
        raise _spent("this invitation has been used")
    if row.team is not None:
        identity = identity_for_user(user)
        Membership.objects.get_or_create(organisation=row.team.organisation, identity=identity)
        TeamMembership.objects.get_or_create(team=row.team, identity=identity, defaults={"role": row.role})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _spent(detail: str) -> Refusal:
    return Refusal("invitation_spent", detail, status=403, hint="ask whoever invited you for a new one")

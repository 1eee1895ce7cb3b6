"""Organisations and teams: who is in which, as what; and the changes to them that their own people may make."""

from __future__ import annotations

import re
from typing import Any

from django.db import transaction

from capabilities.chains import covered
from capabilities.membership import Membership, Organisation, Role, Team, TeamMembership
from capabilities.models import Identity
from capabilities.refusal import Reason, Refusal, not_found
from capabilities.services import is_root

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
LOOKS_AFTER = (Membership.Level.OWNER, Membership.Level.ADMIN)


def team_ids(identity: Identity) -> tuple[int, ...]:
    """Return the teams that the identity is in; read once where it remembers (see `services.remember`)."""
    kept: tuple[int, ...] | None = identity.__dict__.get("_teams")
    if kept is None:
        rows = TeamMembership.objects.filter(identity=identity).order_by("team_id")
        kept = tuple(rows.values_list("team_id", flat=True))
        if "_remembers" in identity.__dict__:
            identity.__dict__["_teams"] = kept
    return kept


def team_lacks(identity: Identity, team_id: int, path: str) -> str:
    """Return why her role in the team does not let `identity` do `path` with what is the team's, empty if it does."""
    row = (
        TeamMembership.objects.filter(identity=identity, team_id=team_id)
        .select_related("role", "team__organisation")
        .first()
    )
    if row is None:
        return "it belongs to a team that she is not in"
    if covered(tuple(row.role.capabilities), [path]):
        return ""
    return f"her role in the team {row.team} is {row.role}, which does not hold it"


def team_get(identity: Identity, name: str) -> Team:
    """Return a team by `organisation/team`; for who is not of the organisation it does not exist."""
    organisation, _, team = name.partition("/")
    rows = Team.objects.select_related("organisation").filter(organisation__name=organisation, name=team)
    if not is_root(identity):
        rows = rows.filter(organisation__memberships__identity=identity)
    found = rows.first()
    if found is None:
        refusal = not_found("team", name[:130])
        refusal.hint = "ORGANISATION/TEAM; `./dms team list` shows those that you know"
        raise refusal
    return found


def organisation_get(identity: Identity, name: str) -> Organisation:
    """Return an organisation; Refusal, as for one that does not exist, to who is not of it."""
    rows = Organisation.objects.filter(name=name)
    if not is_root(identity):
        rows = rows.filter(memberships__identity=identity)
    found = rows.first()
    if found is None:
        raise not_found("organisation", name[:64])
    return found


def level_of(identity: Identity, organisation: Organisation) -> str:
    """Return what the identity is in the organisation; a root is as good as an owner."""
    if is_root(identity):
        return Membership.Level.OWNER
    row = Membership.objects.filter(identity=identity, organisation=organisation).first()
    return row.level if row is not None else ""


def looks_after(identity: Identity, organisation: Organisation, *levels: str) -> None:
    """Refuse to whoever does not look after the organisation as one of `levels`."""
    wanted = levels or LOOKS_AFTER
    if level_of(identity, organisation) not in wanted:
        words = " or ".join(wanted)
        raise Refusal(
            "not_authorized",
            f"{identity} may not change {organisation}: that takes its {words}",
            status=403,
            hint=f"ask one of: {', '.join(_who(organisation, wanted)) or 'an administrator of this node'}",
        )


def _who(organisation: Organisation, levels: tuple[str, ...]) -> list[str]:
    rows = organisation.memberships.filter(level__in=levels).select_related("identity")
    return [row.identity.name for row in rows[:5]]


def organisation_new(identity: Identity, name: str) -> Organisation:
    """Make an organisation; whoever makes it is its owner."""
    _named(name)
    with transaction.atomic():
        organisation, made = Organisation.objects.get_or_create(name=name)
        if not made:
            raise Refusal(
                "taken", f"there is an organisation {name} already", status=409, hint="choose another name"
            )
        if identity.user_id is not None:
            Membership.objects.create(
                organisation=organisation, identity=identity, level=Membership.Level.OWNER
            )
    return organisation


def organisation_remove(identity: Identity, name: str) -> None:
    """Remove an organisation with its teams; what belonged to them is its owners' alone again."""
    organisation = organisation_get(identity, name)
    looks_after(identity, organisation, Membership.Level.OWNER)
    organisation.delete()


def organisation_member(identity: Identity, name: str, who: Identity, level: str) -> None:
    """Make somebody owner, admin or member of an organisation; with an empty level she leaves it and its teams."""
    organisation = organisation_get(identity, name)
    present = Membership.objects.filter(organisation=organisation, identity=who).first()
    owner = Membership.Level.OWNER
    if level and level not in Membership.Level.values:
        text = f"{level[:20]!r} is no level"
        raise _invalid("Level", text, f"one of {', '.join(Membership.Level.values)}")
    leaves_herself = not level and who.pk == identity.pk
    if not leaves_herself:
        touches_owner = level == owner or (present is not None and present.level == owner)
        looks_after(identity, organisation, *((owner,) if touches_owner else ()))
    with transaction.atomic():
        others = Membership.objects.select_for_update().filter(organisation=organisation, level=owner)
        steps_down = present is not None and present.level == owner and level != owner
        if steps_down and not others.exclude(identity=who).exists():
            text = f"{who} is the only owner of {organisation}"
            raise Refusal("last_owner", text, status=409, hint="make somebody else an owner first")
        if level:
            Membership.objects.update_or_create(
                organisation=organisation, identity=who, defaults={"level": level}
            )
        else:
            TeamMembership.objects.filter(team__organisation=organisation, identity=who).delete()
            Membership.objects.filter(organisation=organisation, identity=who).delete()


def team_new(identity: Identity, name: str) -> Team:
    """Make a team, `organisation/team`."""
    first, _, second = name.partition("/")
    organisation = organisation_get(identity, first)
    looks_after(identity, organisation)
    _named(second)
    team, made = Team.objects.get_or_create(organisation=organisation, name=second)
    if not made:
        raise Refusal("taken", f"there is a team {team} already", status=409, hint="choose another name")
    return team


def team_remove(identity: Identity, name: str) -> None:
    """Remove a team; what belonged to it is its owners' alone again."""
    team = team_get(identity, name)
    looks_after(identity, team.organisation)
    team.delete()


def team_member(identity: Identity, name: str, who: Identity, role: Role | None) -> None:
    """Put a member of the organisation into a team with a role, or out of it without one."""
    team = team_get(identity, name)
    if role is not None or who.pk != identity.pk:
        looks_after(identity, team.organisation)
    if role is None:
        TeamMembership.objects.filter(team=team, identity=who).delete()
        return
    if not team.organisation.memberships.filter(identity=who).exists():
        raise Refusal(
            "not_a_member",
            f"{who} is not of {team.organisation}",
            status=409,
            hint=f"./dms team member {team.organisation} {who} member",
        )
    TeamMembership.objects.update_or_create(team=team, identity=who, defaults={"role": role})


def organisations_visible_to(identity: Identity) -> list[dict[str, Any]]:
    """Return the organisations that the identity is of (a root sees all), with their people and teams."""
    rows = Organisation.objects.prefetch_related(
        "memberships__identity", "teams__memberships__identity", "teams__memberships__role"
    )
    if not is_root(identity):
        rows = rows.filter(memberships__identity=identity)
    return [
        {
            "Name": row.name,
            "Level": next((m.level for m in row.memberships.all() if m.identity_id == identity.pk), ""),
            "Members": [{"Name": m.identity.name, "Level": m.level} for m in row.memberships.all()],
            "Teams": [
                {
                    "Name": str(f"{row.name}/{team.name}"),
                    "Members": [
                        {"Name": m.identity.name, "Role": m.role.name} for m in team.memberships.all()
                    ],
                }
                for team in row.teams.all()
            ],
        }
        for row in rows
    ]


def _named(name: str) -> None:
    if not NAME.match(name):
        raise _invalid(
            "Name", f"{name[:80]!r} cannot be a name", "letters, digits, '.', '_', '-'; at most 64"
        )


def _invalid(field: str, text: str, hint: str) -> Refusal:
    return Refusal(
        "invalid_request", text, status=422, hint=hint, reasons=(Reason("value", text, field, hint=hint),)
    )

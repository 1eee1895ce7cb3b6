"""Whose team a deployment belongs to. Its owner stays a person."""

from __future__ import annotations

from django.db import transaction

from capabilities.chains import covered
from capabilities.models import Identity, Team, TeamMembership
from capabilities.refusal import Refusal
from capabilities.services import is_root
from capabilities.teams import team_get, team_lacks
from deployments.models import Deployment
from deployments.services.timeline import announce, record


def own_teams(identity: Identity, path: str) -> list[str]:
    """Return the teams in which the identity's role holds `path`."""
    rows = TeamMembership.objects.filter(identity=identity).select_related("role", "team__organisation")
    return sorted(str(row.team) for row in rows if covered(tuple(row.role.capabilities), [path]))


def own_team(identity: Identity, name: str, path: str) -> Team:
    """Return the team, for somebody whose role in it holds `path`; Refusal names what is missing."""
    team = team_get(identity, name)
    why = "" if is_root(identity) else team_lacks(identity, team.pk, path)
    if why:
        raise Refusal(
            "not_authorized",
            f"{identity} may not invoke {path} for {team}: {why}",
            status=403,
            hint=f"ask an admin of {team.organisation} for a role in the team that holds {path}",
            capability=path,
        )
    return team


def team_set(deployment: Deployment, team: Team | None, *, actor: Identity) -> None:
    """Let the members of a team see the deployment and act on it, in place of those of the team before; or nobody."""
    if deployment.owner_id != actor.pk and not is_root(actor):
        raise Refusal(
            "not_authorized",
            f"{deployment.name} is of {deployment.owner}: only she gives it to a team, or an administrator",
            status=403,
            hint="ask her",
        )
    with transaction.atomic():
        # Whoever loses it sees that on her page, too.
        announce(deployment)
        Deployment.objects.filter(pk=deployment.pk).update(team=team)
        deployment.team = team
        text = f"given to the team {team}" if team else "belongs to no team any more"
        record(deployment, "notice", f"{text}, by {actor}", actor=actor.did)
        announce(deployment)

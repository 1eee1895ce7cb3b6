"""The doors to organisations and teams; who may change one is decided by her place in it, besides the capability."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from capabilities import teams
from dmsweb.accounts.roles import role_get
from dmsweb.accounts.services import user_get
from dmsweb.accounts.telling import identity_changed
from node.message import Empty, Message
from node.registry import Call, behavior


class TeamListResponse(Message):
    """The organisations that the caller is of, with their people and teams; a root sees all."""

    organisations: list[dict[str, Any]] = Field(alias="Organisations")


class OrganisationRequest(Message):
    """Which organisation."""

    name: str = Field(alias="Name", max_length=64)


class OrganisationMemberRequest(Message):
    """Who is what in an organisation; an empty level: she leaves it."""

    organisation: str = Field(alias="Organisation", max_length=64)
    user: str = Field(alias="User", max_length=150)
    level: str = Field("member", alias="Level", description="owner, admin, member, or empty.")


class TeamRequest(Message):
    """Which team."""

    name: str = Field(alias="Name", max_length=130, description="ORGANISATION/TEAM.")


class TeamMemberRequest(Message):
    """Who has which role in a team; an empty role: she leaves it."""

    team: str = Field(alias="Team", max_length=130, description="ORGANISATION/TEAM.")
    user: str = Field(alias="User", max_length=150)
    role: str = Field("viewer", alias="Role", description="The name of a role, or empty.")


@behavior("/dms/team/list", request=Empty, response=TeamListResponse)
def team_list(call: Call, request: Empty) -> TeamListResponse:
    """List the organisations that the caller is of, with their members and teams."""
    return TeamListResponse(organisations=teams.organisations_visible_to(call.invoker))


@behavior("/dms/organisation/new", request=OrganisationRequest, response=Empty, changes=True)
def organisation_new(call: Call, request: OrganisationRequest) -> Empty:
    """Make an organisation; whoever makes it is its owner."""
    teams.organisation_new(call.invoker, request.name)
    return Empty()


@behavior("/dms/organisation/remove", request=OrganisationRequest, response=Empty, changes=True)
def organisation_remove(call: Call, request: OrganisationRequest) -> Empty:
    """Remove an organisation and its teams; deployments stay with their owners."""
    teams.organisation_remove(call.invoker, request.name)
    return Empty()


@behavior("/dms/organisation/member", request=OrganisationMemberRequest, response=Empty, changes=True)
def organisation_member(call: Call, request: OrganisationMemberRequest) -> Empty:
    """Make somebody owner, admin or member of an organisation, or let her leave."""
    who = user_get(request.user).identity
    teams.organisation_member(call.invoker, request.organisation, who, request.level)
    identity_changed(who)
    return Empty()


@behavior("/dms/team/new", request=TeamRequest, response=Empty, changes=True)
def team_new(call: Call, request: TeamRequest) -> Empty:
    """Make a team in an organisation."""
    teams.team_new(call.invoker, request.name)
    return Empty()


@behavior("/dms/team/remove", request=TeamRequest, response=Empty, changes=True)
def team_remove(call: Call, request: TeamRequest) -> Empty:
    """Remove a team; what belonged to it is its owners' alone again."""
    teams.team_remove(call.invoker, request.name)
    return Empty()


@behavior("/dms/team/member", request=TeamMemberRequest, response=Empty, changes=True)
def team_member(call: Call, request: TeamMemberRequest) -> Empty:
    """Put a member of the organisation into a team with a role, give her another role, or let her leave."""
    who = user_get(request.user).identity
    teams.team_member(call.invoker, request.team, who, role_get(request.role) if request.role else None)
    identity_changed(who)
    return Empty()

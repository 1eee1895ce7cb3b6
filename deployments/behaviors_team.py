"""The door to the team of a deployment."""

from __future__ import annotations

from pydantic import Field

from deployments.selectors import deployment_get
from deployments.services.teams import own_team, team_set
from node.message import Message
from node.registry import Call, behavior


class DeploymentTeamRequest(Message):
    """Which deployment, and whose it becomes; an empty team takes it back."""

    id: str = Field(alias="ID")
    team: str = Field("", alias="Team", max_length=130, description="ORGANISATION/TEAM, or empty.")


class DeploymentTeamResponse(Message):
    """Whose it is."""

    id: str = Field(alias="ID")
    team: str = Field("", alias="Team")


@behavior(
    "/dms/node/deployment/team",
    request=DeploymentTeamRequest,
    response=DeploymentTeamResponse,
    changes=True,
)
def deployment_team(call: Call, request: DeploymentTeamRequest) -> DeploymentTeamResponse:
    """Give a deployment to a team, whose members see it and act on it as their role says, or take it back."""
    deployment = deployment_get(call.invoker, request.id, to=call.path)
    team = own_team(call.invoker, request.team, call.path) if request.team else None
    team_set(deployment, team, actor=call.invoker)
    return DeploymentTeamResponse(id=deployment.pk, team=str(team or ""))

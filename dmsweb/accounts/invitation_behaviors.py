"""The doors to invitations of people."""

from __future__ import annotations

from django.conf import settings
from pydantic import Field

from capabilities.refusal import Refusal
from dmsweb.accounts import invitations
from dmsweb.accounts.models import PersonInvitation
from node.message import Empty, Message
from node.registry import Call, behavior


class InviteRequest(Message):
    """What the invited person will be."""

    role: str = Field("deployer", alias="Role")
    name: str = Field(
        "", alias="Name", max_length=150, description="A name to begin with; she may choose another."
    )
    days: float | None = Field(None, alias="Days", gt=0, description="How long the link counts.")
    team: str = Field("", alias="Team", max_length=130, description="ORGANISATION/TEAM that she joins, too.")


class InvitationEntry(Message):
    """An invitation, without its link."""

    id: int = Field(alias="ID")
    name: str = Field("", alias="Name")
    role: str = Field(alias="Role")
    team: str = Field("", alias="Team")
    by: str = Field("", alias="By")
    expires_at: str = Field(alias="ExpiresAt")


class InviteResponse(InvitationEntry):
    """The invitation with its link, shown this once. Without DMS_PUBLIC_URL the link is a path of this site."""

    link: str = Field(alias="Link")


class InvitationListResponse(Message):
    """The invitations that can still be used."""

    invitations: list[InvitationEntry] = Field(alias="Invitations")


class InvitationRevokeRequest(Message):
    """Which invitation."""

    id: int = Field(alias="ID")


def _entry(row: PersonInvitation) -> dict[str, object]:
    return {
        "ID": row.pk,
        "Name": row.name,
        "Role": row.role.name,
        "Team": str(row.team or ""),
        "By": row.created_by.name if row.created_by else "",
        "ExpiresAt": row.expires_at.isoformat(),
    }


@behavior("/dms/user/invite", request=InviteRequest, response=InviteResponse, changes=True)
def user_invite(call: Call, request: InviteRequest) -> InviteResponse:
    """Invite a person: the link makes one account with this role, once, until it ends."""
    if call.source == "peer":
        raise Refusal(
            "not_from_afar",
            "people are invited on the site itself: the link would cross the network",
            status=409,
            hint="./dms user invite",
        )
    row, path = invitations.invite(
        by=call.invoker, role=request.role, days=request.days, name=request.name, team=request.team
    )
    return InviteResponse.model_validate(_entry(row) | {"Link": f"{settings.DMS_PUBLIC_URL}{path}"})


@behavior("/dms/user/invitation/list", request=Empty, response=InvitationListResponse)
def invitation_list(call: Call, request: Empty) -> InvitationListResponse:
    """List the invitations that can still be used."""
    rows = [InvitationEntry.model_validate(_entry(row)) for row in invitations.invitations_open()]
    return InvitationListResponse(invitations=rows)


@behavior("/dms/user/invitation/revoke", request=InvitationRevokeRequest, response=Empty, changes=True)
def invitation_revoke(call: Call, request: InvitationRevokeRequest) -> Empty:
    """Take an invitation back."""
    invitations.invitation_revoke(request.id)
    return Empty()

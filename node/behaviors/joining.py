"""Behaviors of inviting and joining: who may become known here, what each side gets, and the end of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, Field

from capabilities.numbers import NUMBERS
from capabilities.refusal import not_found
from capabilities.tokens import Token, TokenList
from node import invitations
from node.addresses import clock_words
from node.invitations import Link
from node.message import Message
from node.models import Invitation, Peer
from node.registry import Call, behavior
from node.services import joining
from node.services.peers import own_record
from node.visible import invitations_visible_to, peers_visible_to

DAY_S = 86_400.0


class Given(BaseModel):
    """One capability, with what it means."""

    path: str
    words: str


class InviteRequest(Message):
    """What to offer and to ask for, beyond hello and news of what is revoked, which every invitation holds."""

    can: list[str] = Field(
        default_factory=list, alias="Can", max_length=32, description="What the other site may call here."
    )
    want: list[str] = Field(
        default_factory=list, alias="Want", max_length=32, description="What this site may call there."
    )
    days: float = Field(
        NUMBERS.invitation_lifetime_s / DAY_S,
        alias="Days",
        gt=0,
        le=365,
        description="How long the link is good.",
    )
    member_days: float = Field(
        NUMBERS.membership_lifetime_s / DAY_S,
        alias="MemberDays",
        gt=0,
        le=3650,
        description="How long what it gives lasts.",
    )
    note: str = Field("", alias="Note", max_length=100, description="Whom it is for.")


class InviteResponse(Message):
    """The link, shown this once."""

    id: int = Field(alias="ID")
    link: str = Field(alias="Link")
    expires_at: str = Field(alias="ExpiresAt")
    until: str = Field(alias="Until", description="When what it gives ends.")
    they: list[Given] = Field(alias="They", description="What the other site may do here.")
    we: list[Given] = Field(alias="We", description="What this site may do there.")


class InviteEndRequest(Message):
    """Which invitation."""

    id: int = Field(alias="ID")


class InviteEndResponse(Message):
    """It is taken back."""

    id: int = Field(alias="ID")
    state: str = Field(alias="State")


class LinkRequest(Message):
    """An invitation link."""

    link: str = Field(alias="Link", max_length=16_384)


class PreviewResponse(Message):
    """Who invites, and what each side gets, in plain words."""

    did: str = Field(alias="DID")
    name: str = Field(alias="Name")
    addresses: list[str] = Field(alias="Addresses")
    expires_at: str = Field(alias="ExpiresAt")
    until: str = Field(alias="Until")
    we: list[Given] = Field(alias="We", description="What this site may do there.")
    they: list[Given] = Field(alias="They", description="What that site may do here.")


class JoinResponse(PreviewResponse):
    """Whom this site has joined; both sides hold every anchor now."""

    clock: str | None = Field(None, alias="Clock", description="Said when the clocks differ too much.")


class AcceptRequest(Message):
    """What the joining site says of itself and gives; sent under the key of the link."""

    record: dict[str, Any] = Field(alias="Record", description="Its signed address record.")
    token: dict[str, Any] = Field(alias="Token", description="What it lets this site do: a token list.")
    proof: str = Field(alias="Proof", max_length=512, description="Signature: it is itself who joins. Hex.")


class AcceptResponse(Message):
    """What the joining site is given."""

    record: dict[str, Any] = Field(alias="Record")
    token: dict[str, Any] = Field(alias="Token")


class PeerEndRequest(Message):
    """Which site."""

    did: str = Field(alias="DID")


class PeerEndResponse(Message):
    """It is no longer known, and what it held is revoked."""

    did: str = Field(alias="DID")
    revoked: int = Field(alias="Revoked")


def given(paths: Iterable[str]) -> list[Given]:
    """Return the paths with what they mean."""
    return [Given(path=path, words=invitations.words_of(path)) for path in paths]


@behavior("/dms/node/peers/invite", request=InviteRequest, response=InviteResponse, changes=True)
def peers_invite(call: Call, request: InviteRequest) -> InviteResponse:
    """Make a link by which one other site joins this one, with what each side then may do."""
    row, link = joining.invite(
        call,
        can=request.can,
        want=request.want,
        lifetime=timedelta(days=request.days),
        member=timedelta(days=request.member_days),
        note=request.note,
    )
    return InviteResponse(
        id=row.pk,
        link=link.text(),
        expires_at=row.expires_at.isoformat(),
        until=row.member_until.isoformat(),
        they=given(link.offers),
        we=given(link.asks),
    )


@behavior("/dms/node/peers/invite/end", request=InviteEndRequest, response=InviteEndResponse, changes=True)
def peers_invite_end(call: Call, request: InviteEndRequest) -> InviteEndResponse:
    """Take an invitation back that nobody has used."""
    row: Invitation | None = invitations_visible_to(call.invoker).filter(pk=request.id).first()
    if row is None:
        raise not_found("invitation", request.id)
    joining.invitation_end(call, row)
    row.refresh_from_db()
    return InviteEndResponse(id=row.pk, state=row.state)


def _preview(link: Link) -> dict[str, Any]:
    return {
        "did": link.did,
        "name": link.name,
        "addresses": list(link.addresses),
        "expires_at": invitations.day(link.expires_ns),
        "until": invitations.day(link.until_ns),
        "we": given(link.offers),
        "they": given(link.asks),
    }


@behavior("/dms/node/peers/join/preview", request=LinkRequest, response=PreviewResponse)
def peers_join_preview(call: Call, request: LinkRequest) -> PreviewResponse:
    """Say who invites by a link and what each side would get; nothing is changed and nobody is asked."""
    return PreviewResponse(**_preview(joining.read(request.link)))


@behavior("/dms/node/peers/join", request=LinkRequest, response=JoinResponse, changes=True)
def peers_join(call: Call, request: LinkRequest) -> JoinResponse:
    """Join the site that made a link: both sides then hold what it offers and asks for."""
    joined = joining.join(call, request.link)
    shown = _preview(Link.parse(request.link)) | {"name": joined.peer.name}
    return JoinResponse(**shown, clock=_clock(joined.peer))


def _clock(peer: Peer) -> str | None:
    return clock_words(peer.clock_offset_ms) or None


@behavior("/dms/node/peers/accept", request=AcceptRequest, response=AcceptResponse, changes=True)
def peers_accept(call: Call, request: AcceptRequest) -> AcceptResponse:
    """Let the site that uses an invitation of this one join; only the key in the link may call this."""
    token: Token = joining.accept(call, request.record, request.token, request.proof)
    return AcceptResponse(record=own_record().document(), token=TokenList((token,)).document())


@behavior("/dms/node/peers/end", request=PeerEndRequest, response=PeerEndResponse, changes=True)
def peers_end(call: Call, request: PeerEndRequest) -> PeerEndResponse:
    """End what was agreed with another site: what it holds of this one is revoked at once, and it is forgotten."""
    peer = peers_visible_to(call.invoker).filter(did=request.did).first()
    if peer is None:
        raise not_found("site", request.did)
    return PeerEndResponse(did=request.did, revoked=joining.end(call, peer))

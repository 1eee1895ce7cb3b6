"""REST resources about other sites, read-only: what changes something is a behavior."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework import serializers, viewsets

from capabilities.asking import identity_of
from node.models import Invitation, Outgoing, Peer
from node.visible import invitations_visible_to, outgoing_visible_to, peers_visible_to


class PeerSerializer(serializers.ModelSerializer[Peer]):
    """A known site: what it says of itself, and what was seen of it."""

    state = serializers.CharField(read_only=True)

    class Meta:
        model = Peer
        fields = (
            "did",
            "name",
            "addresses",
            "via",
            "state",
            "since",
            "used_address",
            "last_seen_at",
            "last_error",
            "last_error_at",
            "rtt_ms",
            "clock_offset_ms",
        )


class OutgoingSerializer(serializers.ModelSerializer[Outgoing]):
    """One message that has not arrived yet."""

    peer = serializers.CharField(source="peer.did", read_only=True)

    class Meta:
        model = Outgoing
        fields = (
            "id",
            "peer",
            "behavior",
            "created_at",
            "expires_at",
            "attempts",
            "next_try_at",
            "last_error",
        )


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation, without its link: that is shown once."""

    state = serializers.CharField(read_only=True)
    created_by = serializers.CharField(source="created_by.did", read_only=True)

    class Meta:
        model = Invitation
        fields = (
            "id",
            "note",
            "state",
            "offers",
            "asks",
            "created_by",
            "created_at",
            "expires_at",
            "member_until",
            "used_at",
            "used_by",
            "ended_at",
        )


class PeerViewSet(viewsets.ReadOnlyModelViewSet[Peer]):
    """The sites that are known here."""

    serializer_class = PeerSerializer
    queryset = Peer.objects.none()
    lookup_field = "did"
    lookup_value_regex = "did:[^/]+"
    filterset_fields: ClassVar = ["name", "via"]
    ordering_fields: ClassVar = ["name", "since", "last_seen_at"]
    search_fields: ClassVar = ["name", "did"]
    ordering: ClassVar = ["name", "did"]

    def get_queryset(self) -> QuerySet[Peer]:
        """Return what the caller may see."""
        return peers_visible_to(identity_of(self.request))


class OutgoingViewSet(viewsets.ReadOnlyModelViewSet[Outgoing]):
    """What is on its way to other sites."""

    serializer_class = OutgoingSerializer
    queryset = Outgoing.objects.none()
    filterset_fields: ClassVar = ["peer__did", "behavior"]
    ordering_fields: ClassVar = ["created_at", "next_try_at"]
    search_fields: ClassVar = ["peer__name", "peer__did"]
    ordering: ClassVar = ["created_at", "pk"]

    def get_queryset(self) -> QuerySet[Outgoing]:
        """Return what the caller may see."""
        return outgoing_visible_to(identity_of(self.request))


class InvitationViewSet(viewsets.ReadOnlyModelViewSet[Invitation]):
    """Invitations to join this site."""

    serializer_class = InvitationSerializer
    queryset = Invitation.objects.none()
    filterset_fields: ClassVar = ["used_by"]
    ordering_fields: ClassVar = ["created_at", "expires_at"]
    search_fields: ClassVar = ["note", "used_by"]
    ordering: ClassVar = ["-created_at", "-pk"]

    def get_queryset(self) -> QuerySet[Invitation]:
        """Return what the caller may see."""
        return invitations_visible_to(identity_of(self.request))

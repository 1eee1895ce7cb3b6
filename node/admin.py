"""The admin of nodes, their ledger, ports, samples, events and nonces."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from capabilities.admin import ReadOnlyAdmin
from capabilities.asking import identity_of
from capabilities.recorder import recording
from capabilities.services import audit, is_root
from node.choices import state_of
from node.models import (
    BenchmarkRun,
    ForeignContainer,
    Invitation,
    LoggerSettings,
    Node,
    NodeEvent,
    Onboarding,
    Outgoing,
    Peer,
    PortReservation,
    Reservation,
    SeenNonce,
    UsageSample,
)


def state_mark(name: str) -> SafeString:
    """Draw a state in its colour, from the table that pages use."""
    return format_html('<span class="mark mark-{}">{}</span>', state_of(name).colour, name)


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    """Nodes; what the owner sets (location, allowances) can be changed by a root of the node, and is audited."""

    list_display = ["name", "hostname", "peer_id", "last_seen_at"]
    search_fields = ["name", "hostname", "peer_id"]
    exclude = ["public_key"]
    readonly_fields = [
        "identity",
        "name",
        "peer_id",
        "cid",
        "hostname",
        "hardware",
        "executors",
        "last_seen_at",
    ]
    fields = [*readonly_fields, "location", "allowances"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Roots of the node: allowances decide what may run on the machine."""
        return request.user.is_authenticated and is_root(identity_of(request))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write the owner's two fields and nothing that the worker measures."""
        with recording() as recorder:
            obj.save(update_fields=["location", "allowances"])
        audit(
            actor=identity_of(request).did,
            path="/dms/node/allowances",
            outcome="allowed",
            source="admin",
            remote_addr=request.META.get("REMOTE_ADDR", ""),
            request={"location": obj.location, "allowances": obj.allowances},
            changes=recorder.document(),
        )


@admin.register(Onboarding)
class OnboardingAdmin(ReadOnlyAdmin):
    """What each node offers; changed on the node's page."""

    list_display = ["node", "cpu_centicores", "ram_bytes", "disk_bytes", "no_gpu", "updated_at"]
    list_select_related = ["node"]


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """The ledger's lines."""

    list_display = [
        "allocation_id",
        "state_shown",
        "node",
        "owner",
        "cpu_centicores",
        "ram_bytes",
        "expires_at",
    ]
    list_filter = ["state"]
    list_select_related = ["node", "owner"]
    search_fields = ["allocation_id", "deployment_id"]

    @admin.display(description="state", ordering="state")
    def state_shown(self, row: Reservation) -> SafeString:
        """The state in its colour."""
        return state_mark(row.state)


@admin.register(PortReservation)
class PortReservationAdmin(ReadOnlyAdmin):
    """Ports held."""

    list_display = ["port", "node", "allocation_id", "created_at"]
    list_select_related = ["node"]
    search_fields = ["=port", "allocation_id"]


@admin.register(UsageSample)
class UsageSampleAdmin(ReadOnlyAdmin):
    """What the machine used."""

    list_display = ["at", "node", "cpu_percent", "ram_used_bytes", "disk_used_bytes"]
    list_select_related = ["node"]


@admin.register(BenchmarkRun)
class BenchmarkRunAdmin(ReadOnlyAdmin):
    """Measurements of the nodes."""

    list_display = ["asked_at", "node", "status", "reason", "version", "ended_at"]
    list_filter = ["status"]
    list_select_related = ["node"]


@admin.register(ForeignContainer)
class ForeignContainerAdmin(ReadOnlyAdmin):
    """What else runs on the nodes' engines."""

    list_display = ["name", "node", "state", "image", "ram_used_bytes", "seen_at"]
    list_filter = ["state"]
    list_select_related = ["node"]
    search_fields = ["name", "image", "container_id"]


@admin.register(NodeEvent)
class NodeEventAdmin(ReadOnlyAdmin):
    """Timelines of nodes."""

    list_display = ["at", "node", "kind", "text", "actor"]
    list_filter = ["kind"]
    list_select_related = ["node"]
    search_fields = ["text"]


@admin.register(LoggerSettings)
class LoggerSettingsAdmin(ReadOnlyAdmin):
    """How nodes log; changed by the behavior or `./dms logger`. The key is never shown."""

    list_display = ["node", "level", "url", "elastic_enabled", "apm_url", "updated_at"]


@admin.register(SeenNonce)
class SeenNonceAdmin(ReadOnlyAdmin):
    """Nonces that cannot be used again until their envelope has expired."""

    list_display = ["key", "expires_ns"]


@admin.register(Peer)
class PeerAdmin(ReadOnlyAdmin):
    """Known sites; made by joining and by hello, ended on the page of peers."""

    list_display = ["name", "did", "via", "since", "last_seen_at", "last_error"]
    search_fields = ["name", "did"]


@admin.register(Outgoing)
class OutgoingAdmin(ReadOnlyAdmin):
    """What is on its way to other sites, and what keeps it."""

    list_display = ["peer", "behavior", "created_at", "attempts", "next_try_at", "last_error"]
    list_select_related = ["peer"]


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Invitations; the link itself is kept nowhere."""

    list_display = ["note", "created_by", "created_at", "expires_at", "used_at", "used_by", "ended_at"]
    list_select_related = ["created_by"]

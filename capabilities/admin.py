"""The admin of identities, tokens, anchors and the audit log: for looking; changes go through the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from capabilities.models import Anchor, AuditEntry, Identity, Token

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Shows rows that carry invariants: nothing is added, changed or deleted here."""

    show_full_result_count = False
    list_per_page = 50

    class Media:
        css = {"all": ["dms/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


@admin.register(Identity)
class IdentityAdmin(ReadOnlyAdmin):
    """DIDs this site knows; the sealed key is never shown."""

    list_display = ["name", "kind", "did", "user", "created_at"]
    list_filter = ["kind"]
    list_select_related = ["user"]
    search_fields = ["name", "did"]
    exclude = ["sealed_key"]


@admin.register(Anchor)
class AnchorAdmin(ReadOnlyAdmin):
    """Entries of the capability context."""

    list_display = ["context", "kind", "key", "expires_at", "created_at"]
    list_filter = ["kind", "context"]
    search_fields = ["key"]


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Issued capability tokens."""

    list_display = ["owner", "action", "capabilities", "expires_at", "revoked_at"]
    list_filter = ["action"]
    list_select_related = ["owner"]
    search_fields = ["subject", "issuer", "owner__name"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who invoked what, and how it ended."""

    list_display = ["at", "path", "outcome", "actor", "source", "remote_addr"]
    list_filter = ["outcome", "source"]
    search_fields = ["path", "actor"]

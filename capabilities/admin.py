"""The admin of identities, tokens, anchors and the audit log: for looking; changes go through the door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from capabilities.models import Anchor, AuditEntry, AuditSeal, Context, Identity, Token
from capabilities.paging import KeyPaginator

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


def one_of(field: str, values: Iterable[str]) -> type[admin.SimpleListFilter]:
    """Return a filter by values that are known: to look for those that occur would read every row there is."""

    class OneOf(admin.SimpleListFilter):
        title = parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(value, value) for value in values]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{field: self.value()}) if self.value() else queryset

    return OneOf


class KeyChangeList(ChangeList):
    """A list that reads the rows of its page alone, and of these what it shows."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the rows that were asked for, without the documents that no list shows."""
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return rows.defer(*getattr(self.model_admin, "list_left_out", ()))

    def get_results(self, request: HttpRequest) -> None:
        """Take the only page of a short list from the paginator, too."""
        super().get_results(request)
        if not self.show_all and not self.multi_page:
            self.result_list = self.paginator.page(1).object_list


class ReadOnlyAdmin(ModelAdmin):
    """Shows rows that carry invariants: nothing is added, changed or deleted here."""

    show_full_result_count = False
    list_per_page = 25  # drawing a row is what an admin list takes its time for
    paginator = KeyPaginator
    list_left_out: tuple[str, ...] = ()

    class Media:
        css = {"all": ["dms/admin.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        """Return the list that reads keys first."""
        return KeyChangeList

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


@admin.register(Context)
class ContextAdmin(ReadOnlyAdmin):
    """Capability contexts beside the node's own."""

    list_display = ["name", "did", "key_name", "created_at"]
    search_fields = ["name", "did"]


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Issued capability tokens."""

    list_display = ["owner", "action", "capabilities", "expires_at", "revoked_at"]
    list_filter = ["action"]
    list_select_related = ["owner"]
    search_fields = ["subject", "issuer", "owner__name"]


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnlyAdmin):
    """Seals of the audit log; `./dms audit verify` looks at all of them."""

    list_display = ["number", "entries", "last_at", "sealed_at", "digest"]
    exclude = ["leaves"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who invoked what, and how it ended."""

    list_display = ["at", "path", "outcome", "actor", "source", "remote_addr"]
    list_filter = ["outcome", "source"]
    search_fields = ["path", "actor"]

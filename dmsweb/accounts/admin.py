"""The admin of accounts, their login links and API tokens."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from capabilities.admin import ReadOnlyAdmin
from capabilities.membership import Membership, Organisation, Role, RoleHolding, Team, TeamMembership
from dmsweb.accounts.models import ApiToken, LoginLink, PersonInvitation, User
from dmsweb.accounts.tokens import token_revoke

admin.site.site_header = "dmsweb"
admin.site.site_title = "dmsweb"
admin.site.index_title = "Rows behind the pages"
# Groups and permissions of Django decide nothing here: capabilities do.
admin.site.unregister(Group)
# The admin's own login page would know neither second factors nor limits.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


@admin.register(User)
class AccountAdmin(UserAdmin):  # type: ignore[type-arg]
    """People. Made by `./dms user add`, which also makes the DID; ended by switching them off."""

    fieldsets = (
        (None, {"fields": ("username", "password", "is_active")}),
        ("About", {"fields": ("first_name", "last_name", "email", "time_zone")}),
        ("Admin pages", {"fields": ("is_staff", "is_superuser", "last_login", "date_joined")}),
    )
    readonly_fields = ("is_staff", "is_superuser", "last_login", "date_joined")
    list_display = ("username", "first_name", "last_name", "is_staff", "is_active", "last_login")
    list_filter = ("is_staff", "is_active")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: an account needs an identity and its grants."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: what a person did stays hers."""
        return False


@admin.register(LoginLink)
class LoginLinkAdmin(ReadOnlyAdmin):
    """One-time links; the secret is not kept."""

    list_display = ["user", "created_at", "expires_at", "used_at"]
    list_select_related = ["user"]
    exclude = ["digest"]


@admin.register(PersonInvitation)
class PersonInvitationAdmin(ReadOnlyAdmin):
    """Invitations; the secret is not kept."""

    list_display = ["name", "role", "created_by", "created_at", "expires_at", "used_at"]
    list_select_related = ["role", "created_by"]
    exclude = ["digest"]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """API tokens; `Revoke` ends them at once."""

    list_display = ["name", "user", "token_key", "created", "expiry", "revoked_at"]
    list_select_related = ["user"]
    exclude = ["digest"]
    actions = ["revoke"]

    @admin.action(description="Revoke")
    def revoke(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """End the chosen tokens."""
        for token in rows.filter(revoked_at=None).select_related("user"):
            token_revoke(token.user, token.token_key)
            messages.success(request, f"{token} is revoked")


@admin.register(Role)
class RoleAdmin(ReadOnlyAdmin):
    """Roles; `./dms role` and the page of people change them."""

    list_display = ["name", "title", "built_in", "created_at"]
    search_fields = ["name"]


@admin.register(RoleHolding)
class RoleHoldingAdmin(ReadOnlyAdmin):
    """Who has which role."""

    list_display = ["identity", "role", "since"]
    list_select_related = ["identity", "role"]
    search_fields = ["identity__name"]


@admin.register(Organisation)
class OrganisationAdmin(ReadOnlyAdmin):
    """Organisations."""

    list_display = ["name", "created_at"]
    search_fields = ["name"]


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """Who belongs to which organisation."""

    list_display = ["organisation", "identity", "level", "since"]
    list_select_related = ["organisation", "identity"]
    search_fields = ["identity__name"]


@admin.register(Team)
class TeamAdmin(ReadOnlyAdmin):
    """Teams."""

    list_display = ["name", "organisation", "created_at"]
    list_select_related = ["organisation"]
    search_fields = ["name"]


@admin.register(TeamMembership)
class TeamMembershipAdmin(ReadOnlyAdmin):
    """Who is in which team, as what."""

    list_display = ["team", "identity", "role", "since"]
    list_select_related = ["team__organisation", "identity", "role"]
    search_fields = ["identity__name"]

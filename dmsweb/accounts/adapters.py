"""How django-allauth behaves on this site: no sign-up without an invitation, addresses as everywhere else."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse

from capabilities.asking import address_of
from capabilities.refusal import Refusal
from dmsweb.accounts.invitations import SESSION_KEY, invitation_find, invitation_spend
from dmsweb.accounts.models import User
from dmsweb.accounts.oidc import CheckedProvider
from dmsweb.accounts.oidc_failures import provider_failed

UNKNOWN_ADDRESS = "0.0.0.0"  # a unix socket has none


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by an administrator or through an invitation, by `accounts.services.user_create` alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up here."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that the server believes, as the audit log does."""
        return address_of(request) or UNKNOWN_ADDRESS

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Lead whoever has nothing to be asked for (links and providers alone) to setting a password first."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if methods or not user.is_authenticated:
            return methods
        url = reverse("account_set_password")
        return [{"id": "set_password", "description": "Set a password", "url": url}]


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """An identity provider lets in who is known; somebody new needs an open invitation in the same browser."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """Return the provider with this site's stricter checks."""
        found = super().get_provider(request, provider, client_id)
        if isinstance(found, OpenIDConnectProvider):
            return CheckedProvider(request, app=found.app)
        return found

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: BaseException | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        """Say in words what went wrong."""
        known = "callback_view" not in (extra_context or {}) or "state" in (extra_context or {})
        raise ImmediateHttpResponse(
            provider_failed(request, provider.name, error=error, exception=exception, began_here=known)
        )

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Say whether the browser carries an invitation that counts."""
        try:
            invitation_find(request.session.get(SESSION_KEY, ""))
        except Refusal:
            return False
        return True

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> Any:
        """Make the account, and give it what the invitation says."""
        try:
            with transaction.atomic():
                _name(sociallogin.user, invitation_find(request.session.get(SESSION_KEY, "")).name)
                user = super().save_user(request, sociallogin, form)
                invitation_spend(request.session.get(SESSION_KEY, ""), user)
        except Refusal as refusal:
            # Used by somebody else meanwhile, or whoever invited may not give this role any more.
            context = {"refusal": refusal}
            answer = render(request, "pages/invited.html", context, status=refusal.status)
            raise ImmediateHttpResponse(answer) from refusal
        request.session.pop(SESSION_KEY, None)
        return user


def _name(user: User, offered: str) -> None:
    """Where the provider tells no name that can be used, take the one of the invitation."""
    if not user.username and offered and not User.objects.filter(username__iexact=offered).exists():
        user.username = offered

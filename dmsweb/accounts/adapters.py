"""How django-allauth behaves on this site: no sign-up without an invitation, addresses as everywhere else."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.db import transaction
from django.http import HttpRequest

from capabilities.asking import address_of
from capabilities.refusal import Refusal
from dmsweb.accounts.invitations import SESSION_KEY, invitation_find, invitation_spend

UNKNOWN_ADDRESS = "0.0.0.0"  # a unix socket has none


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by an administrator or through an invitation, by `accounts.services.user_create` alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up here."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that the server believes, as the audit log does."""
        return address_of(request) or UNKNOWN_ADDRESS


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """An identity provider lets in who is known; somebody new needs an open invitation in the same browser."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Say whether the browser carries an invitation that counts."""
        try:
            invitation_find(request.session.get(SESSION_KEY, ""))
        except Refusal:
            return False
        return True

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> Any:
        """Make the account, and give it what the invitation says."""
        with transaction.atomic():
            user = super().save_user(request, sociallogin, form)
            invitation_spend(request.session.pop(SESSION_KEY, ""), user)
        return user

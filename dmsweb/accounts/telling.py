"""Tell the sockets of an account to look again at whether they may go on."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_reset, password_set
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

from capabilities.models import Identity
from node.live import changed


def account_changed(user_pk: int | None) -> None:
    """Announce after commit that what lets the account in, or what it may do, has changed."""
    if user_pk is not None:
        changed(f"account.{user_pk}")


def identity_changed(identity: Identity) -> None:
    """Announce it for the account behind an identity; a peer has none."""
    account_changed(identity.user_id)


@receiver([user_logged_out, password_changed, password_reset, password_set])
def _logged_out(sender: Any, user: Any = None, **kwargs: Any) -> None:
    account_changed(getattr(user, "pk", None))

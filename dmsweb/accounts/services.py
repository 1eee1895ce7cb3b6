"""Accounts: making them, one-time login links, API tokens, passwords."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal, not_found
from capabilities.roleset import ADMIN, DEPLOYER
from dmsweb.accounts.models import LoginLink, User
from dmsweb.accounts.roles import keep_one_administrator, may_give, role_assign
from dmsweb.accounts.telling import account_changed

_hashes = threading.BoundedSemaphore(NUMBERS.password_hashes_at_once)


@contextmanager
def hashing() -> Iterator[None]:
    """Hold one of the few places for a password hash; Refusal `too_many_logins` when all are taken.

    One Argon2id hash costs about 0.2 s of CPU and 100 MiB: without a bound a handful of callers stop the site.
    """
    if not _hashes.acquire(blocking=False):
        raise Refusal(
            "too_many_logins",
            "too many passwords are being checked at this moment",
            status=429,
            hint="try again in a second",
        )
    try:
        yield
    finally:
        _hashes.release()


def user_create(
    name: str,
    password: str | None = None,
    admin: bool = False,
    *,
    role: str = DEPLOYER,
    by: Identity | None = None,
) -> User:
    """Make an account with an identity of its own and a role; an administrator's DID becomes a root of the node.

    Without a password the account can be entered by a login link only. Refusal when the name is taken or bad.
    """
    user = User(username=name)
    if password is None:
        user.set_unusable_password()
    else:
        password_check(password, user)
        user.set_password(password)
    try:
        user.clean_fields()
        user.validate_unique()
    except ValidationError as error:
        hint = "choose another name; ./dms user login-link NAME lets in who has an account already"
        raise _invalid("account", error, hint) from None
    with transaction.atomic():
        user.save()
        role_assign(user, ADMIN if admin else role, by=by)
    return user


def user_get(name: str) -> User:
    """Return the account `name`; Refusal when there is none."""
    user = User.objects.filter(username=name).first()
    if user is None:
        refusal = not_found("user", name)
        refusal.hint = "`./dms user list` shows the accounts; `./dms user add NAME` makes one"
        raise refusal
    return user


def users() -> list[dict[str, Any]]:
    """Return every account with its DID."""
    rows = User.objects.select_related("identity__holding__role").order_by("username")
    return [
        {
            "name": row.username,
            "admin": row.is_superuser,
            "role": _role(row),
            "active": row.is_active,
            "did": row.identity.did if hasattr(row, "identity") else "",
        }
        for row in rows
    ]


def _role(user: User) -> str:
    identity = getattr(user, "identity", None)
    holding = getattr(identity, "holding", None)
    return holding.role.name if holding is not None else ""


def user_switch(user: User, active: bool, *, by: Identity | None = None) -> User:
    """Shut the account out, by every way in and at once, or let it in again; Refusal for the last administrator."""
    holding = getattr(user.identity, "holding", None)
    if holding is not None:
        may_give(by, holding.role.capabilities, f"the role {holding.role}")
    if not active:
        keep_one_administrator(user)
    user.is_active = active
    user.save(update_fields=["is_active"])
    account_changed(user.pk)
    return user


def password_set(user: User, password: str) -> None:
    """Give `user` another password, which ends all sessions; Refusal when the password is too weak."""
    password_check(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    account_changed(user.pk)


def password_check(password: str, user: User) -> None:
    """Refuse a weak password with every reason."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise _invalid("password", error) from None


def login_link_create(user: User) -> str:
    """Make a one-time login link; return its path on this site."""
    secret = secrets.token_urlsafe(32)
    LoginLink.objects.create(
        user=user,
        digest=_digest(secret),
        expires_at=timezone.now() + timedelta(seconds=NUMBERS.login_link_lifetime_s),
    )
    return reverse("login-link", args=[secret])


def login_link_use(secret: str) -> User:
    """Use up a login link and return whom it lets in; Refusal when it is unknown, used or expired."""
    now = timezone.now()
    # One conditional UPDATE: of two clicks at once only one gets in.
    used = LoginLink.objects.filter(digest=_digest(secret), used_at=None, expires_at__gt=now)
    if used.update(used_at=now) == 1:
        link = LoginLink.objects.select_related("user").get(digest=_digest(secret))
        if link.user.is_active:
            return link.user
    raise Refusal(
        "login_link_spent",
        "this login link has been used or has expired",
        status=403,
        hint="`./dms user login-link` prints a new one",
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _invalid(what: str, error: ValidationError, hint: str = "") -> Refusal:
    reasons = []
    fields = error.message_dict if hasattr(error, "error_dict") else {what: error.messages}
    for path, messages in fields.items():
        reasons += [Reason("invalid", message, path) for message in messages]
    return Refusal(
        "invalid_request",
        f"the {what} cannot be accepted: {' '.join(reason.message for reason in reasons)}",
        hint=hint,
        reasons=tuple(reasons),
    )

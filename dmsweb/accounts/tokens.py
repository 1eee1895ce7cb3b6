"""API tokens: attenuated capabilities of one person, shown once, hashed at rest, revocable at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from hmac import compare_digest

from django.db.models import Q, QuerySet
from django.utils import timezone
from knox.crypto import hash_token
from knox.settings import CONSTANTS

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal, not_found
from capabilities.roleset import normal, path_faults
from capabilities.services import authorize, identity_for_user, scope_of
from deployments.selectors import deployment_get
from dmsweb.accounts.models import ApiToken, User
from dmsweb.accounts.telling import account_changed

DAY_S = 86_400.0


def token_create(
    user: User,
    name: str = "",
    *,
    capabilities: Iterable[str] = (),
    days: float | None = None,
    deployment: str = "",
    by: Identity | None = None,
) -> str:
    """Make an API token of the user and return its text, shown only once.

    It lets through `capabilities` (none: all that the user may do), for one `deployment` if one is named (an id, its
    beginning, or a name), until its end after `days`. Refusal when it would let through what the user does not hold,
    or more than the token with which `by` makes it.
    """
    now = timezone.now()
    lifetime = timedelta(seconds=NUMBERS.api_token_lifetime_s if days is None else days * DAY_S)
    if not timedelta(0) < lifetime <= timedelta(seconds=NUMBERS.api_token_lifetime_max_s):
        most = NUMBERS.api_token_lifetime_max_s / DAY_S
        raise _invalid("Days", f"a token counts for more than 0 and at most {most:g} days")
    paths = normal(capabilities)
    identity = identity_for_user(user)
    if paths and (reasons := tuple(path_faults(paths))):
        raise Refusal(
            "invalid_request", reasons[0].message, status=422, hint=reasons[0].hint, reasons=reasons
        )
    for path in paths:
        if not authorize(identity, path).allowed:
            raise Refusal(
                "not_authorized",
                f"{user} does not hold {path}, so no token of hers can",
                status=403,
                hint="choose from what `/me/` lists, or let an administrator give another role",
                capability=path,
            )
    scope = scope_of(by) if by is not None else None
    if scope is not None and scope.until is not None and days is None:
        lifetime = min(lifetime, scope.until - now)
    only = deployment_get(by or identity, deployment).pk if deployment else ""
    if scope is not None and (why := scope.beyond(paths, only, now + lifetime)):
        raise Refusal(
            "not_authorized", why, status=403, hint="make it with a token that has more, or on the page"
        )
    _, text = ApiToken.objects.create(
        user=user, expiry=lifetime, name=name[:64], capabilities=list(paths), deployment=only
    )
    return str(text)


def tokens_live(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that count, newest first."""
    lasting = Q(expiry=None) | Q(expiry__gt=timezone.now())
    rows: QuerySet[ApiToken] = ApiToken.objects.filter(lasting, user=user, revoked_at=None)
    return rows.order_by("-created")


def token_revoke(user: User, key: str) -> None:
    """Revoke the user's API token whose first characters are `key`; Refusal when she has none like it."""
    now = timezone.now()
    rows = (
        ApiToken.objects.filter(user=user, token_key=key, revoked_at=None) if key else ApiToken.objects.none()
    )
    # The row stays for a while, so that whoever comes with the token hears that it was revoked.
    if not rows.update(revoked_at=now, expiry=now):
        raise not_found("token", key)
    account_changed(user.pk)


def token_find(text: str) -> ApiToken:
    """Return the token of this text; Refusal says whether it is unknown, revoked, expired or its owner shut out."""
    digest = hash_token(text)
    rows = ApiToken.objects.filter(token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH]).select_related("user")
    row: ApiToken | None = next((row for row in rows if compare_digest(digest, row.digest)), None)
    if row is None:
        raise _refused(
            "not_authenticated", "this API token is not known here", "it may belong to another site"
        )
    if row.revoked_at is not None:
        raise _refused(
            "token_revoked", f"this API token was revoked at {row.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    if row.expiry is not None and row.expiry <= timezone.now():
        raise _refused("token_expired", f"this API token ended at {row.expiry:%Y-%m-%d %H:%M:%S} UTC")
    if not row.user.is_active:
        raise _refused(
            "account_disabled", "the account of this API token is shut out", "ask an administrator"
        )
    return row


def _refused(
    code: str, detail: str, hint: str = "make another one: the page API tokens, or `./dms user token`"
) -> Refusal:
    return Refusal(code, detail, status=401, hint=hint)


def _invalid(field: str, text: str) -> Refusal:
    return Refusal("invalid_request", f"{field}: {text}", status=422, reasons=(Reason("range", text, field),))

"""Routes of logging in: our own login page, and django-allauth's for everything around it.

Only what this site offers is here. Whatever checks a password waits for one of the few places for a hash.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as account
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, re_path

from capabilities.refusal import Refusal
from dmsweb.accounts.services import hashing
from dmsweb.pages.account import Login, login_link, too_many
from dmsweb.pages.invited import invited
from dmsweb.pages.provider import provider_callback, provider_login
from dmsweb.pages.security_page import Forgotten, ForgottenSent, Logins, security

View = Callable[..., HttpResponseBase]


def bounded(view: View) -> View:
    """Check no more passwords at once than the site can bear; the rest hear 429."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        try:
            with hashing():
                return view(request, *args, **kwargs)
        except Refusal as refusal:
            return too_many(request, refusal)

    return answer


RESET_KEY = r"^account/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$"
urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", Login.as_view(), name="login"),
    path("login/", Login.as_view(), name="account_login"),
    path("login/link/<str:token>", login_link, name="login-link"),
    path("invited/<str:secret>/", invited, name="invited"),
    path("logout/", account.logout, name="logout"),
    path("logout/", account.logout, name="account_logout"),
    path("account/security/", security, name="security"),
    path("account/inactive/", account.account_inactive, name="account_inactive"),
    path("account/signup/", account.signup, name="account_signup"),
    path("account/reauthenticate/", bounded(account.reauthenticate), name="account_reauthenticate"),
    path("account/email/", account.email, name="account_email"),
    path(
        "account/email/confirm/",
        account.email_verification_sent,
        name="account_email_verification_sent",
    ),
    re_path(
        r"^account/email/confirm/(?P<key>[-:\w]+)/$", account.confirm_email, name="account_confirm_email"
    ),
    path("account/password/change/", bounded(account.password_change), name="account_change_password"),
    path("account/password/set/", bounded(account.password_set), name="account_set_password"),
    path("account/password/reset/", Forgotten.as_view(), name="account_reset_password"),
    path("account/password/reset/sent/", ForgottenSent.as_view(), name="account_reset_password_done"),
    re_path(RESET_KEY, bounded(account.password_reset_from_key), name="account_reset_password_from_key"),
    path(
        "account/password/reset/done/",
        account.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("account/2fa/", include("allauth.mfa.urls")),
    path("account/logins/", Logins.as_view(), name="usersessions_list"),
    path("account/connections/", include("allauth.socialaccount.urls")),
    path("account/oidc/<str:provider_id>/login/", provider_login, name="openid_connect_login"),
    path("account/oidc/<str:provider_id>/login/callback/", provider_callback, name="openid_connect_callback"),
]

"""Getting in, and the tokens of one's own account."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from allauth.account.views import LoginView
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from capabilities.asking import identity_of
from capabilities.models import Identity
from capabilities.refusal import Refusal
from capabilities.roleset import normal
from capabilities.selectors import tokens_of
from capabilities.services import is_root
from deployments import states
from deployments.selectors import visible_to
from dmsweb.accounts.services import hashing, login_link_use
from dmsweb.accounts.tokens import tokens_live
from node.person import invoke

NEW = "/dms/token/new"
LIMITED_WAIT_S = 60  # the limits of tries count by the minute
DEPLOYMENTS_SHOWN = 50

BACKEND = "django.contrib.auth.backends.ModelBackend"


class Login(LoginView):  # type: ignore[misc]
    """Name and password; how many passwords are checked at once, and how often somebody may try, is bounded."""

    template_name = "pages/login.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        """Take the name as `username`, as this site's clients have always sent it."""
        kwargs: dict[str, Any] = super().get_form_kwargs()
        data = kwargs.get("data")
        if data is not None and "login" not in data:
            kwargs["data"] = data.copy()
            kwargs["data"]["login"] = data.get("username", "")
        return kwargs

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add whether there is an identity provider."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"provider": settings.OIDC_NAME}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the password, or answer 429 while too many are being checked."""
        try:
            with hashing():
                answer: HttpResponse = super().post(request, *args, **kwargs)
                return answer
        except Refusal as refusal:
            return too_many(request, refusal)


def too_many(request: HttpRequest, refusal: Refusal | None = None) -> HttpResponse:
    """Answer 429 with the seconds to wait."""
    wait_s = 1 if refusal is not None else LIMITED_WAIT_S
    text = f"{refusal.detail}: {refusal.hint}" if refusal is not None else "too many tries"
    context = {"text": text, "wait_s": wait_s}
    answer = render(request, "429.html", context, status=HTTPStatus.TOO_MANY_REQUESTS)
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def remember_login(request: HttpRequest) -> None:
    """Put a login that did not go through the login page on the person's list of logins."""
    UserSession.objects.create_from_request(request)


@never_cache
@require_http_methods(["GET", "POST"])
def login_link(request: HttpRequest, token: str) -> HttpResponse:
    """Log in with a one-time link; the link is used up by the button, not by a preview that fetches it."""
    if request.method != "POST":
        return render(request, "pages/login_link.html")
    try:
        user = login_link_use(token)
    except Refusal as refusal:
        return render(request, "pages/login_link.html", {"refusal": refusal}, status=refusal.status)
    login(request, user, backend=BACKEND)
    remember_login(request)
    return redirect("overview")


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """List the person's API tokens; a POST makes one and shows it this once."""
    made, refusal, form = None, None, request.POST
    if request.method == "POST":
        payload: dict[str, Any] = {
            "Name": form.get("name", "").strip() or "token",
            "Capabilities": form.get("capabilities", "").split(),
            "Deployment": form.get("deployment", ""),
        }
        try:
            made = invoke(request, NEW, payload | ({"Days": form["days"]} if form.get("days") else {}))
        except Refusal as error:
            refusal = error
    identity = identity_of(request)
    own = visible_to(identity).filter(status__in=states.UNFINISHED)
    context = {
        "tokens": tokens_live(request.user),  # type: ignore[arg-type]
        "made": made["Token"] if made else "",
        "made_name": made["Name"] if made else "",
        "refusal": refusal,
        "form": form if refusal else {},
        "held": held_by(identity),
        "deployments": own.order_by("-created_at").only("pk", "name")[:DEPLOYMENTS_SHOWN],
        "days": (1, 7, 30, 90, 365),
    }
    return render(request, "pages/tokens.html", context, status=refusal.status if refusal else 200)


@login_required
@require_POST
def token_end(request: HttpRequest, key: str) -> HttpResponse:
    """Revoke one of the person's tokens."""
    try:
        invoke(request, "/dms/token/revoke", {"Key": key})
        messages.success(request, "The token is revoked.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("tokens")


def held_by(identity: Identity) -> list[str]:
    """Return the capabilities a person can put into a token."""
    if is_root(identity):
        return ["/"]
    return list(normal(path for token in tokens_of(identity.did) for path in token.capabilities))

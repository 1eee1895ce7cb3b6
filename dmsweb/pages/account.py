"""Getting in, and the tokens of one's own account."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from capabilities.refusal import Refusal
from dmsweb.accounts.models import ApiToken
from dmsweb.accounts.services import hashing, login_link_use, token_create, token_revoke

BACKEND = "django.contrib.auth.backends.ModelBackend"


class Login(LoginView):
    """Name and password; how many passwords are checked at once is bounded."""

    template_name = "pages/login.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the password, or answer 429 while too many are being checked."""
        try:
            with hashing():
                return super().post(request, *args, **kwargs)
        except Refusal as refusal:
            busy = f"{refusal.detail}: {refusal.hint}"
            return render(request, self.template_name, {"busy": busy, "form": None}, status=refusal.status)


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
    return redirect("overview")


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """List the person's API tokens; a POST makes one and shows it this once."""
    made, refusal, name = "", None, request.POST.get("name", "").strip()
    if request.method == "POST":
        try:
            made = token_create(request.user, name or "token")  # type: ignore[arg-type]
        except Refusal as error:
            refusal = error
    rows = ApiToken.objects.filter(user=request.user).order_by("-created")
    context = {"tokens": rows, "made": made, "made_name": name or "token", "refusal": refusal}
    return render(request, "pages/tokens.html", context)


@login_required
@require_POST
def token_end(request: HttpRequest, key: str) -> HttpResponse:
    """Revoke one of the person's tokens."""
    try:
        token_revoke(request.user, key)  # type: ignore[arg-type]
        messages.success(request, "The token is revoked.")
    except Refusal as refusal:
        messages.error(request, refusal.detail)
    return redirect("tokens")

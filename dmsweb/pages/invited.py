"""Opening an invitation: the invited person chooses a name and a password, or comes by an identity provider."""

from __future__ import annotations

from allauth.core.ratelimit import consume
from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from capabilities.refusal import Refusal
from dmsweb.accounts.invitations import SESSION_KEY, invitation_accept, invitation_find
from dmsweb.accounts.services import hashing
from dmsweb.pages.account import BACKEND, remember_login, too_many


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def invited(request: HttpRequest, secret: str) -> HttpResponse:
    """Show what the invitation gives; a POST makes the account and logs it in."""
    refusal: Refusal | None = None
    try:
        row = invitation_find(secret)
    except Refusal as spent:
        return render(request, "pages/invited.html", {"refusal": spent}, status=spent.status)
    request.session[SESSION_KEY] = secret
    if request.method == "POST":
        if not consume(request, action="signup"):
            return too_many(request)
        try:
            with hashing():
                user = invitation_accept(
                    secret, request.POST.get("name", ""), request.POST.get("password", "")
                )
        except Refusal as wrong:
            refusal = wrong
        else:
            request.session.pop(SESSION_KEY, None)
            login(request, user, backend=BACKEND)
            remember_login(request)
            return redirect("overview")
    context = {
        "invitation": row,
        "refusal": refusal,
        "name": request.POST.get("name", row.name),
        "provider": settings.OIDC_NAME,
    }
    return render(request, "pages/invited.html", context, status=refusal.status if refusal else 200)

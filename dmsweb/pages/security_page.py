"""The page of one's own logins: password, second factors, open sessions."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.views import ListUserSessionsView
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dmsweb.accounts.telling import account_changed


@require_safe
@login_required
def security(request: HttpRequest) -> HttpResponse:
    """Show how the person logs in, and the way to change each part of it."""
    held = list(Authenticator.objects.filter(user_id=request.user.pk).values_list("type", flat=True))
    context = {
        "has_password": getattr(request.user, "has_usable_password", bool)(),
        "totp": Authenticator.Type.TOTP in held,
        "keys": held.count(Authenticator.Type.WEBAUTHN),
        "codes": Authenticator.Type.RECOVERY_CODES in held,
        "provider": settings.OIDC_NAME,
        "email": getattr(request.user, "email", ""),
    }
    return render(request, "pages/security.html", context)


class Logins(ListUserSessionsView):  # type: ignore[misc]
    """Every login of the person; a POST ends all but this one, with their sockets."""

    def form_valid(self, form: Any) -> HttpResponse:
        """End the others."""
        answer: HttpResponse = super().form_valid(form)
        account_changed(self.request.user.pk)
        return answer

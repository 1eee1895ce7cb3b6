"""The page of one's own logins: password, second factors, open sessions."""

from __future__ import annotations

from typing import Any

from allauth.account.views import PasswordResetDoneView, PasswordResetView
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from dmsweb.accounts.telling import account_changed

PK_DIGITS = 19  # what a database's integer holds


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
    """Every login of the person; a POST ends the one that it names, or all but this one, with their sockets."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """End one login or all others."""
        wanted = request.POST.get("login", "")
        if not wanted:
            answer: HttpResponse = super().post(request, *args, **kwargs)
            return answer
        own = UserSession.objects.filter(user_id=request.user.pk)
        login = own.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < PK_DIGITS else None
        if login is None:
            messages.info(request, "That login had ended already.")
            return redirect("usersessions_list")
        login.end()
        account_changed(request.user.pk)
        messages.success(request, "The login is ended.")
        return redirect("usersessions_list")

    def form_valid(self, form: Any) -> HttpResponse:
        """End the others."""
        answer: HttpResponse = super().form_valid(form)
        account_changed(self.request.user.pk)
        return answer


class _Mailed:
    """Knows whether mail leaves this site at all."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say so, instead of promising a letter."""
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        return context | {"mails": not settings.EMAIL_BACKEND.endswith("console.EmailBackend")}


class Forgotten(_Mailed, PasswordResetView):  # type: ignore[misc]
    """Ask for a letter with a link."""


class ForgottenSent(_Mailed, PasswordResetDoneView):  # type: ignore[misc]
    """The letter is on its way, or not."""

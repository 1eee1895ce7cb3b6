"""Going to the identity provider and coming back."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.ratelimit import consume
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from requests import RequestException

from dmsweb.accounts.oidc import CheckedAdapter
from dmsweb.accounts.oidc_failures import provider_failed
from dmsweb.pages.account import too_many

View = Callable[[HttpRequest], HttpResponse]


@never_cache
@require_http_methods(["GET", "POST"])
def provider_login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Ask with a GET, go with a POST."""
    if request.method == "POST" and not consume(request, action="login"):
        return too_many(request)
    answer = _spoken(OAuth2LoginView.adapter_view(CheckedAdapter(request, provider_id)), request)
    target = answer.headers.get("Location", "")
    if not urlsplit(target).netloc:
        return answer
    # The policy of our pages lets forms go to this site alone, and browsers hold redirects after a form to it. The
    # provider may send the person on to addresses that nobody knows beforehand; so a page ends the form's way.
    return render(request, "pages/provider_leaving.html", {"target": target, "provider": settings.OIDC_NAME})


@never_cache
@require_http_methods(["GET", "POST"])
def provider_callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Let in whom the provider vouches for."""
    return _spoken(OAuth2CallbackView.adapter_view(CheckedAdapter(request, provider_id)), request)


def _spoken(view: View, request: HttpRequest) -> HttpResponse:
    """Answer with the view, and in words where the provider fails before django-allauth looks."""
    try:
        return view(request)
    except SocialApp.DoesNotExist:
        raise Http404("no such identity provider") from None
    except ImmediateHttpResponse as early:
        answer: HttpResponse = early.response
        return answer
    except (RequestException, OAuth2Error) as error:
        return provider_failed(request, settings.OIDC_NAME, exception=error)

"""What to tell whoever could not log in through the identity provider, and the site's log."""

from __future__ import annotations

import logging
from http import HTTPStatus

from allauth.socialaccount.providers.base import AuthError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from requests import ConnectionError as NoConnection
from requests import RequestException, Timeout

from dmsweb.accounts.oidc import Untrusted

logger = logging.getLogger(__name__)
TOLD_MAX_CHARS = 200


def provider_failed(
    request: HttpRequest,
    provider: str,
    *,
    error: str | None = None,
    exception: BaseException | None = None,
    began_here: bool = True,
) -> HttpResponse:
    """Return the page that says why the provider did not let the person in, and what to do."""
    told = " ".join(request.GET.get(name, "") for name in ("error", "error_description")).strip()
    status, detail, hint = words(provider, error, exception, told[:TOLD_MAX_CHARS], began_here=began_here)
    if status != HTTPStatus.OK:
        logger.warning("no login through %s: %s", provider, detail, exc_info=exception)
    context = {"provider": provider, "detail": detail, "hint": hint}
    answer = render(request, "pages/provider_failed.html", context, status=status)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def words(
    provider: str, error: str | None, exception: BaseException | None, told: str, *, began_here: bool
) -> tuple[HTTPStatus, str, str]:
    """Return the status, what went wrong, and what to do about it."""
    again = "Try again in a moment; your password and passkeys of this site work meanwhile."
    ask = "Tell whoever runs this site; its log says more."
    # Some providers forget the state when a person says no; saying so takes nothing on trust.
    if error == AuthError.CANCELLED or told.split(" ", 1)[0] == "access_denied":
        return HTTPStatus.OK, f"{provider} was told not to let you in here.", "Begin again whenever you like."
    if not began_here:
        text = f"This answer of {provider} belongs to no login that began in this browser in the last 10 minutes."
        return HTTPStatus.FORBIDDEN, text, "Begin again here, and allow cookies of this site."
    if isinstance(exception, Untrusted):
        return HTTPStatus.FORBIDDEN, f"{provider} is not believed: {exception}.", ask
    if isinstance(exception, Timeout):
        return HTTPStatus.SERVICE_UNAVAILABLE, f"{provider} did not answer in time.", again
    if isinstance(exception, NoConnection):
        return HTTPStatus.SERVICE_UNAVAILABLE, f"{provider} cannot be reached.", again
    if isinstance(exception, RequestException):
        return HTTPStatus.BAD_GATEWAY, f"{provider} answered something that cannot be read.", again
    if exception is not None:
        return HTTPStatus.BAD_GATEWAY, f"{provider} did not confirm the login to this site.", ask
    return HTTPStatus.FORBIDDEN, f"{provider} did not let you in: {told or 'it gave no reason'}.", ask

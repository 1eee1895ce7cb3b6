"""Every request has an id: the caller's (X-Request-ID) or a new one. It stands on log lines and in the answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from node.logger.context import REQUEST_ID, bind

HEADER = "X-Request-ID"


class RequestIdMiddleware:
    """Binds the id for everything done for the request, also what workers do for it later."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request; an id that is no short plain word is replaced."""
        given = request.headers.get(HEADER, "")
        chosen = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        with bind(request=chosen):
            response = self.get_response(request)
        response.headers[HEADER] = chosen
        return response

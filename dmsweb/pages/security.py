"""Response headers."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'; connect-src 'self' ws: wss:"
)


class SecurityPolicyMiddleware:
    """Adds the content security policy to every answer that has none.

    A view that needs style elements made by a script (the terminal) sets `style_nonce` on its response: elements that
    carry it are taken, inline styles are refused as everywhere.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with the header set."""
        response = self.get_response(request)
        nonce = getattr(response, "style_nonce", "")
        policy = f"{POLICY}; style-src 'self' 'nonce-{nonce}'" if nonce else POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

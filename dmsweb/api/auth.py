"""Authentication of the REST API by bearer token; sessions are Django's, with their CSRF check."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from capabilities.refusal import Refusal
from dmsweb.accounts.tokens import token_find


class TokenRefused(AuthenticationFailed):
    """A token that lets nobody in, with the reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class BearerToken(TokenAuthentication):  # type: ignore[misc]
    """`Authorization: Bearer <token>`, against the hash that is kept."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        """Return user and token row; why not, when not. A token that is no text is as unknown as any other."""
        if not token.isascii() or b"\x00" in token:
            raise TokenRefused(
                Refusal(
                    "not_authenticated",
                    "this API token is not known here",
                    status=401,
                    hint="send it as it was shown: letters and digits",
                )
            )
        try:
            row = token_find(token.decode())
        except Refusal as refusal:
            raise TokenRefused(refusal) from None
        return row.user, row


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = "dmsweb.api.auth.BearerToken"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme."""
        return {"type": "http", "scheme": "bearer"}

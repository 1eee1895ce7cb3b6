"""Authentication of the REST API by bearer token; sessions are Django's, with their CSRF check."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed


class BearerToken(TokenAuthentication):  # type: ignore[misc]
    """`Authorization: Bearer <token>`, against the hash that is kept."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        """Return user and token row; a token that is no text at all is as wrong as any other."""
        if not token.isascii() or b"\x00" in token:
            raise AuthenticationFailed("Invalid token.")
        user, row = super().authenticate_credentials(token)
        return user, row


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = "dmsweb.api.auth.BearerToken"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme."""
        return {"type": "http", "scheme": "bearer"}

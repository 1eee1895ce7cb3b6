"""django-allauth's OpenID Connect, checked more strictly: issuer, signature, nonce, and whom the answer is about."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest

from dmsweb.accounts.oidc_claims import claims_of, nonce_of, same_person
from dmsweb.accounts.oidc_discovery import Distrusted, discovered


class Untrusted(OAuth2Error):  # type: ignore[misc]
    """A `Distrusted` that django-allauth takes for what it is: a login that failed."""


class CheckedAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """The conversation with the provider."""

    _document: dict[str, Any] | None = None
    _nonce = ""

    @property
    def openid_config(self) -> dict[str, Any]:
        """The provider's discovery document, which must speak for the issuer that is configured."""
        if self._document is None:
            provider = self.get_provider()
            document = _get(provider.server_url)
            try:
                self._document = discovered(document, provider.app.settings["server_url"])
            except Distrusted as error:
                raise Untrusted(str(error)) from error
        return self._document

    def get_access_token_data(
        self, request: HttpRequest, app: SocialApp, client: Any, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        """Exchange the code, and keep which nonce this login began with."""
        # RFC 9207: a provider that says who it is has to be the one that was asked.
        if request.GET.get("iss", self.openid_config["issuer"]) != self.openid_config["issuer"]:
            raise Untrusted("its answer was given by somebody else")
        self._nonce = nonce_of(pkce_code_verifier or "")
        answer: dict[str, Any] = super().get_access_token_data(request, app, client, pkce_code_verifier)
        return answer

    def complete_login(self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any) -> Any:
        """Return who logged in, when everything that the provider said holds together."""
        config = self.openid_config
        try:
            claims = claims_of(
                kwargs["response"].get("id_token"),
                _get(config["jwks_uri"]),
                issuer=config["issuer"],
                client=app.client_id,
                nonce=self._nonce,
            )
            data = {"id_token": claims}
            if config.get("userinfo_endpoint"):
                data["userinfo"] = same_person(claims, self._fetch_user_info(token.token))
        except Distrusted as error:
            raise Untrusted(str(error)) from error
        return self.get_provider().sociallogin_from_response(request, data)


class CheckedProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """The provider as this site asks it: with a nonce, and nothing added by an address that somebody clicks."""

    oauth2_adapter_class = CheckedAdapter

    def get_pkce_params(self) -> dict[str, Any]:
        """Add the nonce that belongs to the verifier."""
        params: dict[str, Any] = super().get_pkce_params()
        return params | {"nonce": nonce_of(params["code_verifier"])}

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        """Ask for what this site needs, whatever the address says."""
        scope: list[str] = self.get_scope()
        return scope

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, Any]:
        """Add nothing that the address says."""
        params: dict[str, Any] = self.get_auth_params()
        return params


def _get(address: str) -> Any:
    with get_adapter().get_requests_session() as session:
        answer = session.get(address)
        answer.raise_for_status()
    return answer.json()

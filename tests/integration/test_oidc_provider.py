"""The whole way through a provider that others made, in a process of its own, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client

from dmsweb.accounts.services import user_create
from tests.support.oidc_process import RunningProvider, running_provider
from tests.unit.deployments.world import make_node

LOGIN = "/account/oidc/oidc/login/"


@pytest.fixture
def provider(db: None, settings) -> Iterator[RunningProvider]:
    """A provider that the site is told about."""
    cache.clear()
    with running_provider() as running:
        app = {"provider_id": "oidc", "name": "Acme", "client_id": "dms", "secret": "secret"}
        apps = [app | {"settings": {"server_url": running.url}}]
        settings.OIDC_NAME = "Acme"
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": apps}}
        yield running
    cache.clear()


def through(client: Client, sub: str) -> Any:
    """Go to the provider, log in there as `sub`, come back."""
    target = client.post(LOGIN).context["target"]
    answer = httpx.post(target, data={"sub": sub}, trust_env=False)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert back.path == f"{LOGIN}callback/"
    return client.get(f"{back.path}?{back.query}")


def test_a_real_provider_vouches_for_who_is_connected_and_for_nobody_else(provider: RunningProvider) -> None:
    make_node()
    bob = user_create("bob")
    SocialAccount.objects.create(user=bob, provider="oidc", uid="bob at acme")
    assert b"No account here yet" in through(Client(), "eve").content
    client = Client()
    assert through(client, "bob at acme")["Location"] == "/"
    assert client.get("/account/security/").status_code == 200
    provider.stop()
    assert b"Acme cannot be reached" in Client().post(LOGIN).content

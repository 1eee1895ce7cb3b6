"""Logging in through an identity provider: who gets in, and each lie of a provider refused in words."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.cache import cache
from django.test import Client

from dmsweb.accounts.invitations import invite
from dmsweb.accounts.models import User
from dmsweb.accounts.oidc_claims import claims_of
from dmsweb.accounts.oidc_discovery import Distrusted, discovered
from dmsweb.accounts.roles import role_of, role_set
from tests.support.identity_provider import KEY_ID, identity_provider
from tests.unit.dmsweb.conftest import PASSWORD

START, BACK = "/account/oidc/oidc/login/", "/account/oidc/oidc/login/callback/"


@pytest.fixture
def provider(people, settings):
    """A provider that the site is told about."""
    cache.clear()
    with identity_provider() as running:
        app = {
            "provider_id": "oidc",
            "name": "Acme",
            "client_id": running.client,
            "secret": "s",
            "settings": {"server_url": running.url},
        }
        settings.OIDC_NAME = "Acme"
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
        yield running
    cache.clear()


def leave(client, provider, where=START):
    """Go to the provider; return what it is asked."""
    page = client.post(where)
    assert page.status_code == 200, page.content
    target = page.context["target"]
    # A page, no redirect: the policy holds redirects after a form to this site.
    assert target.startswith(f"{provider.url}/authorize?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    provider.nonce = asked["nonce"]
    return asked


def log_in(client, provider, where=START):
    asked = leave(client, provider, where)
    return client.get(BACK, {"code": "c", "state": asked["state"]})


def connected(people, provider):
    return SocialAccount.objects.create(user=people.bob, provider="oidc", uid=provider.sub)


def test_who_is_connected_gets_in(people, provider):
    connected(people, provider)
    client = Client()
    asked = leave(client, provider)
    assert set(asked["scope"].split()) == {"openid", "profile", "email"}
    assert asked["code_challenge_method"] == "S256"
    answer = client.get(BACK, {"code": "c", "state": asked["state"]})
    assert answer["Location"] == "/"
    assert b"bob" in client.get("/").content
    # The answer counts once.
    again = client.get(BACK, {"code": "c", "state": asked["state"]})
    assert again.status_code == 403


def test_the_address_adds_nothing_to_what_is_asked(people, provider):
    asked = leave(Client(), provider, f"{START}?scope=everything&auth_params=nonce%3Dmine%26prompt%3Dnone")
    assert "everything" not in asked["scope"]
    assert "prompt" not in asked
    assert asked["nonce"] != "mine"


def test_somebody_new_needs_an_invitation_in_the_same_browser(people, provider):
    answer = log_in(Client(), provider)
    assert b"No account here yet" in answer.content
    assert not User.objects.filter(username="paula").exists()
    client = Client()
    client.get(invite(by=people.identity("alice"), role="viewer")[1])
    assert log_in(client, provider)["Location"] == "/"
    paula = User.objects.get(username="paula")
    assert role_of(paula.identity) == "viewer"
    assert not paula.has_usable_password()
    # From now on without one.
    assert log_in(Client(), provider)["Location"] == "/"


@pytest.mark.parametrize(("offered", "made"), [("dora", "dora"), ("bob", "user"), ("", "user")])
def test_a_name_that_the_provider_does_not_tell_is_the_invitations(people, provider, offered, made):
    provider.changed_userinfo = {"preferred_username": None}
    client = Client()
    client.get(invite(by=people.identity("alice"), role="viewer", name=offered)[1])
    assert log_in(client, provider)["Location"] == "/"
    assert SocialAccount.objects.get().user.username == made


def test_an_invitation_that_cannot_be_given_any_more_makes_no_account(people, provider):
    from dmsweb.accounts.roles import role_assign

    role_set("host", ["/dms/user", "/public", "/dms/node/hardware"])
    role_set("guest", ["/dms/node/hardware"])
    role_assign(people.bob, "host")
    path = invite(by=people.identity("bob"), role="guest")[1]
    client = Client()
    client.get(path)
    asked = leave(client, provider)
    role_set("host", ["/dms/user"])
    answer = client.get(BACK, {"code": "c", "state": asked["state"]})
    assert answer.status_code == 403
    assert b"This invitation does not work" in answer.content
    assert not User.objects.filter(username="paula").exists()


def test_the_provider_is_connected_and_disconnected_by_its_owner(people, provider):
    client = Client()
    client.post("/login/", {"username": "bob", "password": PASSWORD})
    page = client.get("/account/connections/")
    assert b"None yet" in page.content
    assert b"Connect Acme" in page.content
    answer = log_in(client, provider, f"{START}?process=connect")
    assert answer["Location"] == "/account/connections/"
    page = client.get("/account/connections/")
    assert b"Acme" in page.content
    account = SocialAccount.objects.get(user=people.bob)
    assert log_in(Client(), provider)["Location"] == "/"
    people.bob.set_unusable_password()
    people.bob.save()
    client = people.client("bob")
    # The last way in stays.
    assert b"no password set up" in client.post("/account/connections/", {"account": account.pk}).content
    people.bob.set_password(PASSWORD)
    people.bob.save()
    client = Client()
    client.post("/login/", {"username": "bob", "password": PASSWORD})
    client.post("/account/connections/", {"account": account.pk})
    assert not SocialAccount.objects.exists()


LIES: list[tuple[dict[str, Any], bytes]] = [
    ({"changed_document": {"issuer": "https://evil.example"}}, b"speaks for https://evil.example"),
    ({"changed_document": {"jwks_uri": ""}}, b"lacks jwks_uri"),
    ({"changed_claims": {"iss": "https://evil.example"}}, b"issued by somebody else"),
    ({"changed_claims": {"aud": "another site"}}, b"for another site"),
    ({"changed_claims": {"aud": ["dms", "another"]}}, b"for another site"),
    ({"changed_claims": {"nonce": "of another login"}}, b"belongs to another login"),
    ({"changed_claims": {"exp": 1}}, b"one of the two clocks is wrong"),
    ({"changed_claims": {"iat": 1 << 40}}, b"one of the two clocks is wrong"),
    ({"changed_userinfo": {"sub": "somebody else"}}, b"about another person"),
    ({"changed_token": {"id_token": ""}}, b"sent no ID token"),
    ({"changed_token": {"id_token": "a.b.c"}}, b"cannot be read"),
    ({"changed_token": {"access_token": None}}, b"did not confirm the login"),
    ({"signs_with": rsa.generate_private_key(65537, 2048)}, b"signature of its ID token is wrong"),
]


def test_every_lie_is_refused_in_words(people, provider):
    connected(people, provider)
    honest = {name: getattr(provider, name) for lie, _ in LIES for name in lie}
    for lie, words in LIES:
        cache.clear()
        client = Client()
        asked = leave(client, provider)
        for name, value in lie.items():
            setattr(provider, name, value)
        answer = client.get(BACK, {"code": "c", "state": asked["state"]})
        assert answer.status_code in (403, 502), lie
        assert words in answer.content, lie
        assert client.get("/").status_code == 302, lie
        for name, value in honest.items():
            setattr(provider, name, value)
    assert log_in(Client(), provider)["Location"] == "/"


def test_a_state_of_another_browser_is_refused_before_the_provider_is_asked(people, provider):
    connected(people, provider)
    asked = leave(Client(), provider)
    provider.asked.clear()
    for state in (asked["state"], "made-up", ""):
        answer = Client().get(BACK, {"code": "c", "state": state})
        assert answer.status_code == 403
        assert b"no login that began in this browser" in answer.content
    assert provider.asked == []


def test_an_answer_in_the_name_of_another_provider_is_refused(people, provider):
    connected(people, provider)
    client = Client()
    for issuer, status in (("https://evil.example", 403), (provider.url, 302)):
        asked = leave(client, provider)
        answer = client.get(BACK, {"code": "c", "state": asked["state"], "iss": issuer})
        assert answer.status_code == status


def test_a_refusal_of_the_provider_is_told_as_text(people, provider):
    client = Client()
    asked = leave(client, provider)
    told = {"state": asked["state"], "error": "server_error", "error_description": "<script>no"}
    answer = client.get(BACK, told)
    assert answer.status_code == 403
    assert b"server_error &lt;script&gt;no" in answer.content
    asked = leave(client, provider)
    for known in ({"state": asked["state"]}, {}):
        stopped = client.get(BACK, known | {"error": "access_denied"})
        assert stopped.status_code == 200
        assert b"told not to let you in" in stopped.content


def test_a_provider_that_is_down_is_said(people, settings, provider):
    client = Client()
    asked = leave(client, provider)
    apps = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
    apps[0]["settings"]["server_url"] = "http://127.0.0.1:1"
    for answer in (client.post(START), client.get(BACK, {"code": "c", "state": asked["state"]})):
        assert answer.status_code == 503
        assert b"Acme cannot be reached" in answer.content
    assert client.post("/account/oidc/other/login/").status_code == 404


def test_symmetric_and_unsigned_tokens_are_refused():
    with identity_provider() as running:
        told = {"issuer": running.url, "client": running.client, "nonce": ""}
        claims = claims_of(running.id_token(), running.keys(), **told)
        assert claims["sub"] == running.sub
        for token in (
            jwt.encode(claims, "", "none", headers={"kid": KEY_ID}),
            jwt.encode(claims, "s" * 64, "HS256", headers={"kid": KEY_ID}),
        ):
            with pytest.raises(Distrusted, match="not accepted here"):
                claims_of(token, running.keys(), **told)
        # A key without an id is found when it is the only one; among several nobody guesses.
        unnamed = jwt.encode(claims, running.key, "RS256")
        assert claims_of(unnamed, running.keys(), **told)["sub"] == running.sub
        two = {"keys": running.keys()["keys"] * 2}
        with pytest.raises(Distrusted, match="does not publish"):
            claims_of(unnamed, two, **told)
        no_keys: list[Any] = [None, [], {"keys": []}, {"keys": "x"}]
        for keys in no_keys:
            with pytest.raises(Distrusted):
                claims_of(unnamed, keys, **told)


@pytest.mark.parametrize("document", [None, [], {}, {"issuer": 1}])
def test_a_discovery_document_that_is_none(document):
    with pytest.raises(Distrusted):
        discovered(document, "https://id.example")

"""Accounts, login links, passwords and roles."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from capabilities import custody
from capabilities.did import did_of
from capabilities.refusal import Refusal
from capabilities.services import authorize, identity_for_peer, is_root, key_of_identity
from dmsweb.accounts.models import ApiToken, LoginLink
from dmsweb.accounts.services import (
    hashing,
    login_link_create,
    login_link_use,
    password_set,
    user_create,
    user_get,
)
from dmsweb.accounts.tokens import token_create, token_revoke
from tests.unit.node.doorway import house

pytestmark = pytest.mark.django_db(databases=["default", "nonces"])


@pytest.fixture
def here():
    with house() as made:
        yield made


def test_an_account_has_a_did_whose_key_is_sealed(here):
    identity = user_create("carol").identity
    assert did_of(key_of_identity(identity).public) == identity.did
    assert key_of_identity(identity).marshal() not in bytes(identity.sealed_key or b"")
    assert not is_root(identity)
    assert is_root(user_create("dave", admin=True).identity)


def test_a_key_sealed_under_another_sites_key_says_so(here, settings, tmp_path):
    sealed = custody.seal_secret(b"secret")
    assert custody.unseal_secret(sealed) == b"secret"
    with pytest.raises(Refusal, match="another site key"):
        custody.unseal_secret(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(Refusal, match="another site key"):
        custody.unseal_secret(b"short")
    with pytest.raises(Refusal, match="does not hold the private key"):
        key_of_identity(identity_for_peer("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"))


@pytest.mark.parametrize("name", ["person", "", "with space", "x" * 200])
def test_a_taken_or_bad_name_is_refused(here, name):
    with pytest.raises(Refusal) as caught:
        user_create(name)
    assert caught.value.code == "invalid_request"
    assert caught.value.reasons


def test_weak_passwords_are_refused_with_every_reason(here):
    with pytest.raises(Refusal) as caught:
        user_create("carol", "abc")
    assert len(caught.value.reasons) >= 2
    user = user_create("carol", "correct horse battery")
    assert user.check_password("correct horse battery")
    password_set(user, "another horse battery")
    assert user_get("carol").check_password("another horse battery")
    with pytest.raises(Refusal, match="not found"):
        user_get("nobody")


def test_a_login_link_works_once_and_not_for_long(here):
    secret = login_link_create(here.person.user).rsplit("/", 1)[1]
    assert secret not in LoginLink.objects.get().digest
    assert login_link_use(secret) == here.person.user
    for used in (secret, "unknown"):
        with pytest.raises(Refusal, match="used or has expired"):
            login_link_use(used)
    late = login_link_create(here.person.user).rsplit("/", 1)[1]
    LoginLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Refusal):
        login_link_use(late)


@pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
def test_of_two_clicks_at_once_one_gets_in(here):
    secret = login_link_create(here.person.user).rsplit("/", 1)[1]
    start, outcomes = threading.Barrier(4), []

    def click():
        start.wait()
        try:
            outcomes.append(login_link_use(secret).username)
        except Refusal as refusal:
            outcomes.append(refusal.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["login_link_spent"] * 3 + ["person"]


def test_only_so_many_passwords_are_checked_at_once():
    from contextlib import ExitStack

    from capabilities.numbers import NUMBERS

    with ExitStack() as stack:
        for _ in range(NUMBERS.password_hashes_at_once):
            stack.enter_context(hashing())
        with pytest.raises(Refusal) as caught, hashing():
            pass
        assert (caught.value.code, caught.value.status) == ("too_many_logins", 429)
    with hashing():
        pass


def test_tokens_belong_to_their_owner(here):
    token_create(here.person.user, "laptop")
    key = ApiToken.objects.get().token_key
    with pytest.raises(Refusal, match="not found"):
        token_revoke(here.root.user, key)
    token_revoke(here.person.user, key)
    assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_a_decision_says_why(here):
    decision = authorize(here.person, "/dms/cap/anchor")
    assert not decision.allowed
    assert "/dms/cap/anchor" in decision.why
    assert authorize(here.person, "/public/hello").token_keys

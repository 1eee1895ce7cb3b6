"""Logging in: invitations, second factors, limits, the list of logins; each refused case, too."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.usersessions.models import UserSession
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from capabilities.models import TeamMembership
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from dmsweb.accounts.invitations import invite
from dmsweb.accounts.models import PersonInvitation, User
from dmsweb.accounts.roles import role_assign, role_of, role_set
from dmsweb.accounts.services import login_link_create
from node import door
from tests.unit.dmsweb.conftest import PASSWORD

BOB = {"username": "bob", "password": PASSWORD}


@pytest.fixture(autouse=True)
def unlimited():
    """Count tries anew."""
    cache.clear()
    yield
    cache.clear()


def link(people, **changes):
    return invite(by=people.identity("alice"), **{"role": "viewer", **changes})[1]


def test_an_invitation_makes_one_account_with_its_role(people):
    path = link(people, name="dora")
    page = Client().get(path)
    assert page.status_code == 200
    assert b'value="dora"' in page.content
    assert b"alice" in page.content
    client = Client()
    weak = client.post(path, {"name": "dora", "password": "abc"})
    assert weak.status_code == 400
    assert not User.objects.filter(username="dora").exists()
    taken = client.post(path, {"name": "bob", "password": PASSWORD})
    assert taken.status_code == 400
    made = client.post(path, {"name": "dora", "password": PASSWORD})
    assert made["Location"] == "/"
    dora = User.objects.get(username="dora")
    assert role_of(dora.identity) == "viewer"
    assert client.get("/").status_code == 200
    again = Client().post(path, {"name": "eve", "password": PASSWORD})
    assert again.status_code == 403
    assert b"has been used" in again.content
    assert not User.objects.filter(username="eve").exists()


def test_an_invitation_that_ended_or_is_unknown_says_so(people):
    path = link(people)
    PersonInvitation.objects.update(expires_at=timezone.now())
    assert b"ended at" in Client().get(path).content
    assert Client().get("/invited/nonsense/").status_code == 403
    closed = Client().get("/account/signup/")
    assert closed.status_code == 200
    assert b'name="password1"' not in closed.content


def test_nobody_invites_to_more_than_she_holds(people):
    role_set("host", ["/dms/user", "/public", "/dms/node/hardware"])
    role_assign(people.bob, "host")
    with pytest.raises(Refusal) as caught:
        invite(by=people.identity("bob"), role="admin")
    assert caught.value.code == "not_authorized"
    role_set("guest", ["/dms/node/hardware"])
    path = invite(by=people.identity("bob"), role="guest")[1]
    # What the host may give is looked at again when the link is used.
    role_set("host", ["/dms/user"])
    answer = Client().post(path, {"name": "eve", "password": PASSWORD})
    assert answer.status_code == 403
    assert not User.objects.filter(username="eve").exists()


def test_the_door_invites_into_a_team_and_takes_back(people):
    alice = people.identity("alice")

    def ask(path, **payload):
        return door.invoke(identity=alice, path=path, payload=payload, source="rest").wire()

    ask("/dms/organisation/new", Name="lab")
    ask("/dms/team/new", Name="lab/vision")
    made = ask("/dms/user/invite", Role="viewer", Team="lab/vision")
    Client().post(made["Link"], {"name": "dora", "password": PASSWORD})
    assert TeamMembership.objects.get().identity.name == "dora"
    other = ask("/dms/user/invite")
    assert [row["ID"] for row in ask("/dms/user/invitation/list")["Invitations"]] == [other["ID"]]
    ask("/dms/user/invitation/revoke", ID=other["ID"])
    assert Client().get(other["Link"]).status_code == 403
    page = people.client("alice").post(
        "/people/do/", {"do": "/dms/user/invite", "role": "viewer", "name": "eve"}
    )
    assert b"/invited/" in page.content


def test_a_second_factor_stands_between_password_and_pages(people):
    totp.TOTP.activate(people.bob, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(people.bob)
    client = Client()
    answer = client.post("/login/", BOB)
    assert answer["Location"].startswith("/account/2fa/authenticate/")
    assert client.get("/").status_code == 302
    assert client.get(answer["Location"]).status_code == 200
    assert client.post("/account/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert client.get("/").status_code == 302
    code = totp.format_hotp_value(
        totp.hotp_value("JBSWY3DPEHPK3PXP", next(iter(totp.yield_hotp_counters_from_time())))
    )
    assert client.post("/account/2fa/authenticate/", {"code": code}).status_code == 302
    assert client.get("/").status_code == 200
    recovery = Authenticator.objects.get(user=people.bob, type="recovery_codes").wrap().get_unused_codes()[0]
    for expected in (302, 200):
        other = Client()
        other.post("/login/", BOB)
        assert other.post("/account/2fa/authenticate/", {"code": recovery}).status_code == expected


def test_too_many_tries_hear_when_to_come_back(people):
    client = Client()
    for _ in range(NUMBERS.logins_per_minute_of_address):
        assert client.get("/login/").status_code == 200
    codes = [client.post("/login/", {"username": "bob", "password": "no"}).status_code for _ in range(40)]
    assert codes[-1] == 429
    answer = client.post("/login/", BOB)
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert b"Too many tries" in answer.content
    other = Client(REMOTE_ADDR="192.0.2.7")
    assert other.post("/login/", {"username": "charlie", "password": PASSWORD}).status_code == 302


def test_hashing_is_bounded_with_retry_after(people):
    from contextlib import ExitStack

    from dmsweb.accounts.services import hashing

    with ExitStack() as stack:
        for _ in range(NUMBERS.password_hashes_at_once):
            stack.enter_context(hashing())
        for path in ("/login/", link(people)):
            answer = Client().post(path, {**BOB, "name": "dora"})
            assert answer.status_code == 429, path
        assert Client().post("/login/", BOB)["Retry-After"] == "1"


def test_logins_are_listed_and_all_others_ended(people):
    first, second = Client(), Client(HTTP_USER_AGENT="other browser")
    for client in (first, second):
        assert client.post("/login/", BOB).status_code == 302
    page = first.get("/account/logins/")
    assert b"other browser" in page.content
    first.post("/account/logins/")
    assert first.get("/").status_code == 200
    assert second.get("/").status_code == 302


def test_one_login_is_ended_by_its_person_alone(people):
    first, second, third = (Client(HTTP_USER_AGENT=f"browser {number}") for number in range(3))
    for client in (first, second, third):
        client.post("/login/", BOB)
    lost = UserSession.objects.get(user_agent="browser 1")
    charlie = Client()
    charlie.post("/login/", {"username": "charlie", "password": PASSWORD})
    for pk in (lost.pk, "9" * 30, "x"):
        assert b"had ended already" in charlie.post("/account/logins/", {"login": pk}, follow=True).content
    assert second.get("/").status_code == 200
    page = first.post("/account/logins/", {"login": lost.pk}, follow=True)
    assert b"browser 1" not in page.content
    assert [client.get("/").status_code for client in (first, second, third)] == [200, 302, 200]


def test_who_came_by_a_link_sets_a_password_before_factors(people):
    people.bob.set_unusable_password()
    people.bob.save()
    client = Client()
    client.post(login_link_create(people.bob))
    for path in ("/account/2fa/totp/activate/", "/account/2fa/webauthn/add/"):
        asked = client.get(path)
        assert asked["Location"].startswith("/account/password/set/?next=")
    assert b"You have none yet" in client.get(asked["Location"]).content
    chosen = "another horse battery"
    done = client.post(asked["Location"], {"password1": chosen, "password2": chosen})
    again = client.get(done["Location"])
    assert again["Location"].startswith("/account/reauthenticate/")
    page = client.post(again["Location"], {"password": chosen}, follow=True)
    assert page.status_code == 200
    assert page.redirect_chain[-1][0] == path


def test_a_site_without_mail_does_not_promise_a_letter(people, settings):
    assert b"Send the link" in Client().get("/account/password/reset/").content
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    page = Client().get("/account/password/reset/").content
    assert b"This site sends no mail" in page
    assert b"Send the link" not in page
    assert b"No mail is sent here" in Client().get("/account/password/reset/sent/").content


def test_an_invitation_says_until_when_and_whose_login_it_replaces(people):
    path = link(people)
    assert b"makes one account and ends <time" in Client().get(path).content
    page = people.client("bob").get(path).content
    assert b"You are logged in as bob" in page


def test_a_token_that_is_refused_keeps_what_was_chosen(people):
    wrong = {"name": "ci", "capabilities": "/dms/cap", "days": "30"}
    page = people.client("bob").post("/account/tokens/", wrong)
    assert page.status_code == 403
    assert b'value="30" selected' in page.content


def test_a_forgotten_password_is_reset_by_mail(people):
    people.bob.email = "bob@example.org"
    people.bob.save()
    assert Client().post("/account/password/reset/", {"email": "nobody@example.org"}).status_code == 302
    assert Client().post("/account/password/reset/", {"email": "bob@example.org"}).status_code == 302
    (letter,) = [one for one in mail.outbox if one.to == ["bob@example.org"]]
    path = next(word for word in letter.body.split() if "/reset/key/" in word).split("testserver", 1)[1]
    client = Client()
    page = client.get(path, follow=True)
    where = page.redirect_chain[-1][0]
    client.post(where, {"password1": "another horse battery", "password2": "another horse battery"})
    people.bob.refresh_from_db()
    assert people.bob.check_password("another horse battery")


@pytest.mark.parametrize(
    "path",
    [
        "/account/security/",
        "/account/2fa/",
        "/account/2fa/totp/activate/",
        "/account/2fa/webauthn/",
        "/account/2fa/webauthn/add/",
        "/account/logins/",
        "/account/email/",
        "/account/password/change/",
        "/account/connections/",
    ],
)
def test_the_pages_around_logging_in_keep_the_policy(people, path):
    assert Client().get(path).status_code == 302
    client = Client()
    client.post("/login/", BOB)
    page = client.get(path)
    if page.status_code == 302:
        # Before factors are changed the password is asked for once more.
        asked = page["Location"]
        assert asked.startswith("/account/reauthenticate/")
        assert client.get(asked).status_code == 200
        page = client.post(asked, {"password": PASSWORD}, follow=True)
    assert page.status_code == 200
    for word in (b"onclick", b"style=", b"<style"):
        assert word not in page.content
    for script in page.content.split(b"<script")[1:]:
        head = script.split(b">", 1)[0]
        assert b"src=" in head or b"application/json" in head
    assert b"Login and security" in page.content


def test_the_admin_has_no_login_of_its_own(people):
    answer = Client().get("/admin/login/?next=/admin/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")
    assert people.client("alice").get("/admin/").status_code == 200


def test_who_is_shut_out_does_not_get_in(people):
    from dmsweb.accounts.services import user_switch

    user_switch(people.bob, active=False)
    client = Client()
    client.post("/login/", BOB)
    assert client.get("/").status_code == 302

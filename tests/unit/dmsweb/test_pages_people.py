"""The page of people: for who may see accounts; it offers and does what the person may."""

from __future__ import annotations

from dmsweb.accounts.models import User
from dmsweb.accounts.roles import role_assign, role_of, role_set


def test_the_page_is_for_who_may_see_accounts(people):
    refused = people.client("bob").get("/people/")
    assert refused.status_code == 403
    assert b"/dms/user/list" in refused.content
    assert b'href="/people/"' not in people.client("bob").get("/").content
    page = people.client("alice").get("/people/")
    assert page.status_code == 200
    assert b"Shut out" in page.content
    assert b'href="/people/"' in page.content
    assert b"style=" not in page.content


def test_a_form_gives_a_role_and_says_why_not(people):
    client = people.client("alice")
    client.post("/people/do/", {"do": "/dms/user/role", "name": "bob", "role": "viewer"})
    assert role_of(people.identity("bob")) == "viewer"
    client.post("/people/do/", {"do": "/dms/user/add", "name": "dora", "role": "viewer"})
    assert User.objects.filter(username="dora").exists()
    answer = client.post("/people/do/", {"do": "/dms/user/disable", "name": "alice"}, follow=True)
    assert b"only administrator left" in answer.content
    answer = client.post("/people/do/", {"do": "/dms/node/drain"}, follow=True)
    assert b"does not do" in answer.content
    client.post("/people/do/", {"do": "/dms/role/set", "name": "mine", "capabilities": "/dms/a\r\n/dms/b"})
    assert b"/dms/b" in client.get("/people/").content


def test_who_may_look_only_is_offered_nothing(people):
    role_set("reader", ["/dms/user/list", "/dms/role/list"])
    role_assign(people.bob, "reader")
    client = people.client("bob")
    page = client.get("/people/").content
    assert b"Shut out" not in page
    assert b"New account" not in page
    assert b"<select" not in page
    answer = client.post("/people/do/", {"do": "/dms/user/disable", "name": "charlie"}, follow=True)
    assert b"/dms/user/disable" in answer.content
    people.charlie.refresh_from_db()
    assert people.charlie.is_active


def test_onboarding_without_the_capability_names_it(people):
    answer = people.client("bob").get(f"/nodes/{people.node.pk}/onboard/")
    assert answer.status_code == 403
    assert b"/dms/node/onboarding/onboard" in answer.content

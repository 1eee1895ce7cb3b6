"""The page of capabilities: what was granted as trees, why and why not, granting, handing on and revoking."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import Anchor, Context, Token
from capabilities.services import delegate, grant, revoke
from capabilities.tokens import TokenList, issue
from dmsweb.accounts.roles import role_assign, role_set
from dmsweb.pages.left import LONGEST_S, WIDTH, place

PATH = "/lab/queue"  # no role holds it
DAY = timedelta(days=1)
STRANGER = PrivateKey.generate()
URL, DO = "/capabilities/", "/capabilities/do/"


@pytest.fixture
def handed_on(people):
    """A token that the node gave to bob, one that bob handed on to charlie, and their rows."""
    grant(people.node.identity, people.identity("bob").did, [PATH], 30 * DAY)
    first = Token.objects.latest("pk")
    delegate(people.identity("bob"), people.identity("charlie").did, [f"{PATH}/list"], 10 * DAY)
    return first, Token.objects.latest("pk")


def text(answer) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_a_token_stands_under_the_one_it_rests_on(people, handed_on):
    first, second = handed_on
    assert second.parent == first
    page = text(people.client("alice").get(URL))
    assert "style=" not in page
    assert page.index(f'id="token-{first.pk}"') < page.index(f'id="token-{second.pk}"')
    within = page[page.index(f'id="token-{first.pk}"') :]
    assert within.index("<ul>") < within.index(f'id="token-{second.pk}"') < within.index("</ul>")
    assert f'aria-label="Revoke token {second.pk}"' in page


def test_others_see_what_they_hold_and_what_they_handed_on(people, handed_on):
    first, second = handed_on
    bob, charlie = (text(people.client(name).get(URL)) for name in ("bob", "charlie"))
    assert f'id="token-{first.pk}"' in bob
    assert f'id="token-{second.pk}"' in bob
    assert f'id="token-{first.pk}"' not in charlie
    assert f'id="token-{second.pk}"' in charlie
    for page in bob, charlie:
        assert "Anchors" not in page
        assert 'value="/dms/cap/grant">' not in page.replace('"></option>', "")
        assert f'aria-label="Revoke token {second.pk}"' not in page


def test_what_rests_on_what_is_revoked_is_void_and_hidden_unless_asked_for(people, handed_on):
    first, second = handed_on
    revoke(first)
    client = people.client("alice")
    assert f'id="token-{first.pk}"' not in text(client.get(URL))
    page = text(client.get(URL, {"past": "1"}))
    assert f'id="token-{first.pk}"' in page
    assert "what it rests on is revoked" in page
    assert f'aria-label="Renew token {second.pk}"' not in page
    # Charlie sees hers alone, and why it is worth nothing.
    assert "what it rests on is revoked" in text(people.client("charlie").get(URL))


def test_revoking_and_renewing_by_a_click(people, handed_on):
    first, second = handed_on
    client = people.client("alice")
    client.post(DO, {"do": "/dms/cap/renew", "id": first.pk})
    again = Token.objects.latest("pk")
    assert (again.subject, again.capabilities) == (first.subject, first.capabilities)
    assert again.expires_at - timezone.now() > 29 * DAY
    client.post(DO, {"do": "/dms/cap/revoke", "id": second.pk})
    second.refresh_from_db()
    assert second.revoked_at is not None
    answer = people.client("bob").post(DO, {"do": "/dms/cap/revoke", "id": first.pk}, follow=True)
    assert "/dms/cap/revoke" in text(answer)
    first.refresh_from_db()
    assert first.revoked_at is None
    assert "does not do" in text(client.post(DO, {"do": "/dms/node/drain"}, follow=True))


def test_granting_by_name_shows_the_token_and_a_refusal_keeps_what_was_written(people):
    client = people.client("alice")
    form = {"do": "/dms/cap/grant", "subject": "bob", "capabilities": "/dms/a\r\n/dms/b", "days": "2"}
    page = text(client.post(DO, form))
    assert "Given to bob" in page
    row = Token.objects.latest("pk")
    assert (row.owner.name, row.capabilities) == ("bob", ["/dms/a", "/dms/b"])
    assert timedelta(days=1.9) < row.expires_at - timezone.now() <= 2 * DAY
    before = Token.objects.count()
    for changed in (
        {"subject": "nobody-here"},
        {"capabilities": "no-path"},
        {"days": "soon"},
        {"depth": "-1"},
        {"capabilities": ""},
    ):
        page = text(client.post(DO, form | changed))
        assert 'role="alert"' in page
        assert f'value="{changed.get("subject", "bob")}"' in page
    assert Token.objects.count() == before


def test_who_may_hand_on_hands_on_what_she_holds_and_no_more(people):
    role_set("lead", ["/dms/cap/delegate", "/dms/cap/check", "/dms/node/deployment"])
    role_assign(people.bob, "lead")
    client = people.client("bob")
    assert "Hand on" in text(client.get(URL))
    form = {
        "do": "/dms/cap/delegate",
        "subject": "charlie",
        "capabilities": "/dms/node/deployment/list",
        "days": "3",
    }
    assert "Given to charlie" in text(client.post(DO, form))
    assert Token.objects.latest("pk").issuer == people.identity("bob").did
    page = text(client.post(DO, form | {"capabilities": "/dms/node/drain"}))
    assert "what you may not do you cannot hand on" in page


def test_why_and_why_not(people, handed_on):
    client, bob = people.client("alice"), people.identity("bob")
    page = text(client.get(URL, {"who": "bob", "can": f"{PATH}/new"}))
    assert 'class="chain"' in page
    assert "allowed" in page
    page = text(client.get(URL, {"who": bob.did, "can": "/dms/node/drain"}))
    assert "Missing:" in page
    assert f"./dms cap grant {bob.did} /dms/node/drain" in page
    assert "</span> bob holds no token for /dms/node/drain" in page
    assert "that names bob, of this node" in page
    assert "Grant it" in page
    # What the link fills in is in the form.
    page = text(client.get(URL, {"subject": "bob", "give": "/dms/node/drain"}))
    assert ">/dms/node/drain</textarea>" in page
    refused = text(people.client("bob").get(URL, {"who": people.identity("charlie").did, "can": PATH}))
    assert "ask about yourself" in refused or "only a root" in refused
    assert "Missing:" in text(people.client("bob").get(URL, {"who": bob.did, "can": "/dms/node/drain"}))


def test_what_was_allowed_until_it_was_revoked_is_told(people, handed_on):
    first, _ = handed_on
    revoke(first)
    page = text(people.client("alice").get(URL, {"who": "bob", "can": PATH}))
    assert "what allowed it was revoked on" in page


def test_anchors_are_shown_added_and_removed(people):
    client = people.client("alice")
    token = issue(
        STRANGER,
        action="delegate",
        subject=people.node.identity.did,
        capabilities=("/dms/node/deployment",),
        expires_ns=int((timezone.now() + DAY).timestamp() * 1e9),
    )
    document = json.dumps(TokenList((token,)).document())
    assert "Done" in text(client.post(DO, {"do": "/dms/cap/provide/anchor", "token": document}, follow=True))
    assert Anchor.objects.filter(kind="provide").count() == 1
    page = text(client.get(URL))
    assert "Remove the provide anchor" in page
    assert did_of(STRANGER.public) in page
    broken = document.replace("/dms/node/deployment", "/dms")
    for wrong, word in ((broken, "signature"), ("{", "no token"), ("[]", "JSON object")):
        answer = client.post(DO, {"do": "/dms/cap/provide/anchor", "token": wrong}, follow=True)
        assert word in text(answer)
    remove = {"do": "/dms/cap/remove", "kind": "provide", "key": token.key}
    refused = people.client("bob").post(DO, remove, follow=True)
    assert "/dms/cap/remove" in text(refused)
    client.post(DO, remove)
    assert not Anchor.objects.filter(kind="provide").exists()
    assert "not found" in text(client.post(DO, remove, follow=True)).lower()


def test_the_anchors_of_another_context_are_shown_to_a_root(people):
    Context.objects.create(name="org", did=people.identity("bob").did, key_name="org")
    Anchor.objects.create(context="org", kind="root", key=did_of(STRANGER.public))
    client = people.client("alice")
    assert "?of=org" in text(client.get(URL))
    Context.objects.create(name="empty", did=people.identity("charlie").did, key_name="empty")
    assert "It trusts nobody and was given nothing yet" in text(client.get(URL, {"of": "empty"}))
    page = text(client.get(URL, {"of": "org"}))
    assert "Anchors of org" in page
    assert did_of(STRANGER.public) in page
    assert ">Anchors</h2>" in text(client.get(URL, {"of": "nothing"}))


def test_a_token_taken_apart(people, handed_on):
    _, second = handed_on
    client = people.client("charlie")
    page = text(client.post(DO, {"do": "/dms/cap/inspect", "token": json.dumps(second.document)}))
    assert "every link holds" in page
    assert "rests on" in page
    altered = json.dumps(second.document).replace("/list", "/new")
    page = text(client.post(DO, {"do": "/dms/cap/inspect", "token": altered}))
    assert "does not hold" in page
    assert "no token" in text(client.post(DO, {"do": "/dms/cap/inspect", "token": "hello"}))


def test_the_list_is_filtered_and_paged(people):
    for number in range(30):
        grant(people.node.identity, people.identity("bob").did, [f"/dms/x{number}"], DAY)
    client = people.client("alice")
    assert text(client.get(URL)).count('<li id="token-') == 25
    assert text(client.get(URL, {"page": "2"})).count('<li id="token-') >= 5
    assert text(client.get(URL, {"q": "/dms/x17"})).count('<li id="token-') == 1
    assert "Nothing matches" in text(client.get(URL, {"q": "never-heard-of"}))


def test_reading_the_page_costs_the_same_for_one_token_and_for_many(people, django_assert_max_num_queries):
    for number in range(20):
        grant(people.node.identity, people.identity("bob").did, [f"/dms/x{number}"], DAY)
    client = people.client("alice")
    with django_assert_max_num_queries(45):
        client.get(URL)


@given(st.floats(-1e9, 1e12), st.floats(-1e9, 1e12))
def test_what_lasts_longer_has_the_longer_bar(one, other):
    assert 0 <= place(one) <= WIDTH
    if one <= other:
        assert place(one) <= place(other)
    assert place(LONGEST_S) == WIDTH

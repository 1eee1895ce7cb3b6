"""Hello between sites: clocks, addresses, revocations pulled and pushed."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from capabilities import services
from capabilities.models import Anchor
from capabilities.models import Token as TokenRow
from capabilities.refusal import Refusal
from capabilities.revocations import revocations_accept, revocations_since
from capabilities.tokens import TokenFault, TokenList, revoke
from node import door
from node.envelope import Envelope
from node.handle import Handle
from node.models import NodeEvent, Outgoing, Peer
from node.reaching import Unreachable
from node.services import hello, outgoing
from node.services.peers import peer_learn
from tests.unit.node.doorway import Sender, content, house
from tests.unit.node.other_site import Other, reachable

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
NS = 1_000_000_000


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setenv("DMS_ADVERTISE", "http://127.0.0.1:8765")
    with house() as made:
        yield made


@pytest.fixture
def there(here):
    with reachable(Other()) as other:
        other.answer = lambda envelope: said(other)
        yield other


def said(other: Other, *revocations, cursor: int = 0, more: bool = False) -> dict[str, Any]:
    return {
        "DID": {"uri": other.did},
        "Time": other.now_ns(),
        "Record": other.record().document(),
        "Revocations": TokenList(revocations).document(),
        "Cursor": cursor,
        "More": more,
    }


def seconds(text: str) -> int:
    """Return the seconds that a sentence about clocks names."""
    found = re.search(r"(\d+) s", text)
    assert found, text
    return int(found[1])


def known(other: Other) -> Peer:
    return peer_learn(other.record(), Peer.Via.JOINED)


def revoked_there(other: Other):
    token = other.token("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "/public")
    return revoke(other.key, token)


def greeting_from(here, other: Other, **changes) -> dict[str, Any]:
    payload = {"Time": other.now_ns(), "Record": other.record().document()} | changes
    sender = Sender(other.key).trusted()
    message = sender.message(
        here.handle, hello.HELLO, payload, sender=Handle.of_key(other.key.public), now_ns=time.time_ns()
    )
    return content(door.receive(message.to_json()))


def test_a_hello_without_more_is_answered_as_the_reference_does(here):
    message = Sender().trusted().message(here.handle, hello.HELLO)
    assert content(door.receive(message.to_json())) == {"DID": {"uri": here.node.identity.did}}


def test_whoever_says_hello_learns_the_clock_and_pulls(here, there):
    peer, revocation = known(there), revoked_there(there)
    there.answer = lambda envelope: said(there, revocation, cursor=7)
    greeting = hello.greet(peer)
    assert (greeting.revocations, greeting.clock) == (1, "")
    assert Anchor.objects.filter(kind="revoke", key=revocation.key).exists()
    peer.refresh_from_db()
    assert peer.revocations_seen == 7
    assert abs(peer.clock_offset_ms or 10_000) < 5_000
    hello.greet(peer)
    assert there.seen[-1].payload()["Since"] == 7


def test_pages_of_revocations_are_pulled_until_there_are_no_more(here, there):
    pages = [said(there, revoked_there(there), cursor=at, more=at < 3) for at in (1, 2, 3)]
    there.answer = lambda envelope: pages.pop(0)
    assert hello.greet(known(there)).revocations == 3


def test_a_revocation_that_does_not_verify_keeps_no_other_out(here, there):
    good, bad = revoked_there(there), revoked_there(there)
    altered = bad.document()
    altered["dms"]["exp"] += 1
    there.answer = lambda envelope: said(there, good) | {"Revocations": {"tok": [altered, good.document()]}}
    assert hello.greet(known(there)).revocations == 1
    with pytest.raises(TokenFault):
        revocations_accept([there.token("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "/x")])


@pytest.mark.parametrize("ahead_s", [15, -15, 3600, -3600])
def test_a_clock_that_is_off_is_said_in_seconds_on_this_side(here, there, ahead_s):
    there.clock_ahead_ns = ahead_s * NS
    greeting = hello.greet(known(there))
    (event,) = NodeEvent.objects.filter(kind="clock")
    for text in (greeting.clock, event.text):
        assert f"s {'ahead of' if ahead_s > 0 else 'behind'} ours" in text
        # What the message is on its way, on a machine with much to do, is in the number.
        assert abs(seconds(text) - abs(ahead_s)) <= 3
    there.clock_ahead_ns = 0
    assert hello.greet(Peer.objects.get()).clock == ""
    assert NodeEvent.objects.filter(kind="clock").count() == 2


@pytest.mark.parametrize("ahead_s", [15, -15])
def test_and_on_the_other(here, ahead_s):
    other = Other(clock_ahead_ns=ahead_s * NS)
    answer = greeting_from(here, other)
    assert abs(seconds(answer["Clock"]) - abs(ahead_s)) <= 3
    assert abs((Peer.objects.get().clock_offset_ms or 0) / 1000 - ahead_s) <= 3
    assert NodeEvent.objects.filter(kind="clock").exists()
    assert "Clock" not in greeting_from(here, Other())


def test_who_says_hello_is_known_by_what_it_has_signed_itself(here):
    other = Other(name="lab")
    assert greeting_from(here, other)["Record"]["addresses"] == ["http://127.0.0.1:8765"]
    assert (Peer.objects.get().name, Peer.objects.get().via) == ("lab", "hello")
    answer = greeting_from(here, other, Record=Other().record().document())
    assert answer["type"].endswith("bad_address_record")


def test_a_site_that_does_not_know_where_it_listens_tells_no_address(here, there, monkeypatch):
    """Else the others would forget the addresses that they know."""
    monkeypatch.delenv("DMS_ADVERTISE")
    peer = known(there)
    hello.greet(peer)
    assert "Record" not in there.seen[-1].payload()
    assert "Record" not in greeting_from(here, Other())
    there.answer = lambda envelope: said(there) | {"Record": None}
    hello.greet(peer)
    assert Peer.objects.get(pk=peer.pk).addresses == there.record().document()["addresses"]


def test_revocations_are_given_out_in_the_order_they_came(here):
    tokens = [
        services.grant(here.node.identity, Other().did, ["/public"], timedelta(days=1)) for _ in range(4)
    ]
    for row in TokenRow.objects.filter(subject__in=[token.subject for token in tokens]).order_by("pk"):
        services.revoke(row)
    answer = greeting_from(here, Other())
    assert [token["dms"]["sub"]["uri"] for token in answer["Revocations"]["tok"]] == [
        t.subject for t in tokens
    ]
    found, cursor, more = revocations_since(0)
    assert (len(found), more) == (4, False)
    assert revocations_since(cursor)[1] == cursor


def test_a_revocation_is_pushed_until_it_has_arrived(here, there):
    peer = known(there)
    got: list[Envelope] = []

    def take(envelope: Envelope) -> dict[str, bool]:
        got.append(envelope)
        return {"OK": True}

    there.answer = take
    services.grant(here.node.identity, Other().did, ["/public"], timedelta(days=1))
    there.failures = [Unreachable("connect", "no connection", again=True)] * 3
    services.revoke(TokenRow.objects.latest("pk"))
    assert outgoing.due(timezone.now()) == [peer]
    assert outgoing.deliver(peer) == 0
    row = Outgoing.objects.get()
    assert (row.attempts, row.last_error) == (1, "no connection")
    assert outgoing.due(timezone.now()) == []
    # A site that was down says hello: it is told at once.
    outgoing.hurry(peer)
    assert outgoing.due(timezone.now()) == [peer]
    assert outgoing.deliver(peer) == 1
    assert got[0].behavior == "/dms/cap/revoke/broadcast"
    assert len(got[0].payload()["Token"]["tok"]) == 1
    assert not Outgoing.objects.exists()


def test_what_is_told_here_goes_on_to_others_once(here, there):
    known(there)
    revocation = revoked_there(Other())
    payload = {"Token": TokenList((revocation,)).document()}
    bringer = Sender().trusted()
    for added in (1, 0):
        message = bringer.message(here.handle, "/dms/cap/revoke/broadcast", payload)
        assert content(door.receive(message.to_json()))["Added"] == added
    assert Outgoing.objects.count() == 1


def test_a_no_is_asked_less_often_and_what_is_too_old_is_given_up(here, there):
    def no(envelope):
        raise Refusal("not_authorized", "no", status=403)

    there.answer = no
    peer = known(there)
    outgoing.revocation_out([revoked_there(Other())])
    outgoing.deliver(peer)
    assert Outgoing.objects.get().next_try_at > timezone.now() + timedelta(seconds=60)
    Outgoing.objects.update(expires_at=timezone.now())
    assert outgoing.due(timezone.now()) == []
    assert not Outgoing.objects.exists()

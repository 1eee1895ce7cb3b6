"""Inviting, joining, ending: what each side holds afterwards, and every reason why not."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from capabilities import services
from capabilities.keys import PrivateKey
from capabilities.models import Anchor, AuditEntry
from capabilities.models import Token as TokenRow
from capabilities.refusal import Refusal
from capabilities.tokens import Token, TokenList
from node import door, invitations
from node.addresses import AddressRecord
from node.envelope import Envelope
from node.handle import Handle
from node.invitations import Link
from node.models import Invitation, Outgoing, Peer
from node.reaching import RefusedThere, Unreachable
from node.services import joining, peers
from tests.unit.node.doorway import Sender, content, house
from tests.unit.node.other_site import ADDRESS, Other, reachable

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
NS = 1_000_000_000
INVITE, JOIN, END = "/dms/node/peers/invite", "/dms/node/peers/join", "/dms/node/peers/end"
DAY = 86_400 * NS


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setenv("DMS_ADVERTISE", "http://127.0.0.1:8765")
    with house() as made:
        yield made


@pytest.fixture
def there(here):
    with reachable(Other()) as other:
        yield other


def invoke(identity, path, **payload):
    return door.invoke(identity=identity, path=path, payload=payload, source="rest").wire()


def invited(here, **payload) -> Link:
    return Link.parse(invoke(here.root, INVITE, **payload)["Link"])


def accepting(here, link: Link, guest: Other, *, token: Token | None = None, **changes) -> dict[str, Any]:
    """Use a link at the door, as the guest's site does."""
    record = changes.pop("record", None) or guest.record()
    token = token or guest.token(here.node.identity.did, *link.asks)
    payload = {
        "Record": record.document(),
        "Token": TokenList((token,)).document(),
        "Proof": guest.key.sign(invitations.proof_bytes(link.holder, record.signature)).hex(),
    } | changes
    message = Sender(link.key).message(
        here.handle, joining.ACCEPT, payload, sender=Handle.of_key(link.key.public)
    )
    return content(door.receive(message.to_json()))


def hello(here, guest: Other) -> dict[str, Any]:
    message = Sender(guest.key).message(
        here.handle, "/public/hello", None, sender=Handle.of_key(guest.key.public)
    )
    return content(door.receive(message.to_json()))


def anchors(kind: str) -> list[tuple[str, str]]:
    rows = Anchor.objects.filter(kind=kind, token__isnull=False)
    return [(token.issuer, token.subject) for token in (Token.parse(row.token) for row in rows)]


def problem(document: dict[str, Any]) -> str:
    return str(document.get("type", "")).rpartition(":")[2]


def test_a_guest_becomes_a_member_once_and_may_then_what_was_offered(here):
    guest, link = Other(), invited(here, Can=["/test"], Note="lab")
    assert problem(hello(here, guest)) == "not_authorized"
    first = accepting(here, link, guest)
    own = here.node.identity.did
    assert anchors("require") == [(own, guest.did)]
    assert anchors("provide") == [(guest.did, own)]
    assert not Anchor.objects.filter(kind="root", key=guest.did).exists()
    assert hello(here, guest)["DID"]["uri"] == own
    peer = Peer.objects.get()
    assert (peer.did, peer.via, peer.addresses) == (guest.did, "invited", [ADDRESS])
    # Asked again, after an answer that was lost: the same token, nothing twice.
    assert accepting(here, link, guest)["Token"] == first["Token"]
    assert Peer.objects.count() == TokenRow.objects.filter(subject=guest.did).count() == 1
    assert problem(accepting(here, link, Other())) == "invitation_used"
    assert Invitation.objects.get().state == "used"


def test_what_is_kept_of_an_invitation_opens_nothing(here):
    link = invited(here)
    secret = link.key.marshal()
    row = Invitation.objects.get()
    assert secret.hex() not in str(row.__dict__)
    for entry in AuditEntry.objects.all():
        assert link.text() not in str(entry.__dict__)


def test_links_that_are_over_are_refused_with_the_reason(here):
    link = invited(here)
    Invitation.objects.update(expires_at=timezone.now())
    assert problem(accepting(here, link, Other())) == "invitation_expired"
    ended = invited(here)
    row = Invitation.objects.get(did=ended.holder)
    invoke(here.root, INVITE + "/end", ID=row.pk)
    assert problem(accepting(here, ended, Other())) == "invitation_ended"
    assert not Peer.objects.exists()


def test_the_key_of_a_link_opens_nothing_else(here):
    link = invited(here, Can=["/test"])
    message = Sender(link.key).message(here.handle, "/test/echo", {"Text": "x"})
    assert problem(content(door.receive(message.to_json()))) == "not_authorized"


def test_a_guest_that_gives_less_or_is_another_is_refused(here):
    link, guest = invited(here, Want=["/dms/node/hardware"]), Other()
    own = here.node.identity.did
    short = guest.token(own, *invitations.BASE)
    assert "/dms/node/hardware" in accepting(here, link, guest, token=short)["detail"]
    other = Other().token(own, *link.asks)
    assert problem(accepting(here, link, guest, token=other)) == "bad_token"
    elsewhere = guest.token(Other().did, *link.asks)
    assert problem(accepting(here, link, guest, token=elsewhere)) == "bad_token"
    assert problem(accepting(here, link, guest, Proof="00")) == "bad_proof"
    assert problem(accepting(here, link, guest, record=Other().record())) == "bad_proof"
    own_record = peers.own_record()
    assert isinstance(own_record, AddressRecord)
    assert problem(accepting(here, link, guest, record=own_record)) == "own_invitation"
    assert Invitation.objects.get().state == "open"
    assert accepting(here, link, guest)["Token"]


def test_nobody_gives_what_she_may_not_do_herself(here):
    services.grant(here.node.identity, here.person.did, [INVITE], timedelta(days=1))
    with pytest.raises(Refusal) as refused:
        invoke(here.person, INVITE, Can=["/dms/node/onboarding"])
    assert refused.value.members["capability"] == "/dms/node/onboarding"
    assert invoke(here.person, INVITE)["Link"]
    for path in ("/", "/dms", "/dms/cap"):
        with pytest.raises(Refusal) as refused:
            invoke(here.root, INVITE, Can=[path])
        assert refused.value.code == "too_much"


def link_of(host: Other, **changes) -> Link:
    found: dict[str, Any] = {
        "did": host.did,
        "name": host.name,
        "addresses": (ADDRESS,),
        "key": PrivateKey.generate(),
        "expires_ns": time.time_ns() + DAY,
        "until_ns": time.time_ns() + 30 * DAY,
        "offers": invitations.BASE,
        "asks": invitations.BASE,
    } | changes
    return Link(**found).sign(host.key)


def welcoming(host: Other, here, **changes):
    """Answer like a site that has made the link."""

    def answer(envelope: Envelope):
        if envelope.behavior != joining.ACCEPT:
            return {"DID": {"uri": host.did}}
        token = host.token(here.node.identity.did, *invitations.BASE)
        return {"Record": host.record().document(), "Token": TokenList((token,)).document()} | changes

    return answer


def test_joining_writes_every_anchor_on_this_side(here, there):
    there.answer = welcoming(there, here)
    own = here.node.identity.did
    shown = invoke(here.root, JOIN + "/preview", Link=link_of(there).text())
    assert [given["path"] for given in shown["We"]] == list(invitations.BASE)
    assert all(given["words"] for given in shown["They"])
    assert not Peer.objects.exists() and not there.seen
    link = link_of(there)
    for _ in range(2):
        assert invoke(here.root, JOIN, Link=link.text())["DID"] == there.did
    assert anchors("require") == [(own, there.did)]
    assert set(anchors("provide")) == {(there.did, own)}
    assert Peer.objects.get().via == "joined"
    assert TokenRow.objects.filter(subject=there.did).count() == 1
    # It counts there as well as here: what is sent now rests on what was given.
    message = there.seen[-1]
    chains = TokenList.parse(message.capabilities).tokens
    assert any(there.did in token.issuers for token in chains)


@pytest.mark.parametrize("member", ["did", "name", "at", "key", "exp", "until", "can", "want", "sig", "v"])
def test_a_link_with_any_member_altered_is_refused_before_anybody_is_asked(here, there, member):
    import base64
    import json

    text = link_of(there).text()
    address, _, packed = text.partition("#")
    document = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    other = link_of(Other())
    foreign = json.loads(base64.urlsafe_b64decode((other.text().partition("#")[2]) + "=="))
    changes = {
        "name": "x",
        "at": ["http://127.0.0.1:9"],
        "exp": document["exp"] + 1,
        "until": document["until"] + 1,
        "can": ["/dms/node"],
        "want": ["/dms/node"],
        "v": 2,
    }
    document[member] = changes.get(member, foreign[member])
    packed = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
    with pytest.raises(Refusal) as refused:
        invoke(here.root, JOIN, Link=f"{address}#{packed}")
    assert refused.value.code == "bad_invitation"
    assert not there.seen


def test_links_that_lead_nowhere_are_refused(here, there):
    with pytest.raises(Refusal) as refused:
        invoke(here.root, JOIN, Link=link_of(there, expires_ns=time.time_ns() - 1).text())
    assert refused.value.code == "invitation_expired"
    with pytest.raises(Refusal) as refused:
        invoke(here.root, JOIN, Link=invited(here).text())
    assert refused.value.code == "own_invitation"
    with pytest.raises(Refusal) as refused:
        invoke(here.root, JOIN, Link=link_of(there, asks=("/dms",)).text())
    assert refused.value.code == "too_much"
    for nonsense in (
        "x",
        "http://127.0.0.1:8765/join/#",
        "http://127.0.0.1:8765/join/#!!",
        "#" + "A" * 20_000,
    ):
        with pytest.raises(Refusal):
            invoke(here.root, JOIN, Link=nonsense)


def test_who_is_refused_there_has_given_nothing(here, there):
    def no(envelope):
        raise Refusal("invitation_used", "the invitation has been used by another site", status=409)

    there.answer = no
    with pytest.raises(RefusedThere) as refused:
        invoke(here.root, JOIN, Link=link_of(there).text())
    assert refused.value.code == "invitation_used"
    row = TokenRow.objects.get(subject=there.did)
    assert row.revoked_at is not None
    assert not anchors("require") and not Peer.objects.exists()
    there.failures = [Unreachable("connect", "no connection", again=True)] * 3
    with pytest.raises(Unreachable):
        invoke(here.root, JOIN, Link=link_of(there).text())
    assert TokenRow.objects.filter(subject=there.did).count() == 1


def test_a_host_that_gives_less_than_its_link_says_is_not_joined(here, there):
    short = there.token(here.node.identity.did, "/public")
    there.answer = welcoming(there, here, Token=TokenList((short,)).document())
    with pytest.raises(Refusal) as refused:
        invoke(here.root, JOIN, Link=link_of(there).text())
    assert refused.value.code == "bad_token"
    assert not Peer.objects.exists()


def test_the_end_is_at_once(here):
    guest, link = Other(), invited(here)
    accepting(here, link, guest)
    assert hello(here, guest)["DID"]
    assert invoke(here.root, END, DID=guest.did) == {"DID": guest.did, "Revoked": 1}
    assert problem(hello(here, guest)) == "not_authorized"
    assert not anchors("require") and not anchors("provide")
    assert not Peer.objects.exists() and not Outgoing.objects.exists()
    with pytest.raises(Refusal) as refused:
        invoke(here.root, END, DID=guest.did)
    assert refused.value.status == 404


def test_revoking_the_token_of_a_member_is_enough(here):
    """Its own signature counts by the require anchor, which is that very token."""
    guest = Other()
    accepting(here, invited(here), guest)
    assert hello(here, guest)["DID"]
    services.revoke(TokenRow.objects.get(subject=guest.did))
    assert problem(hello(here, guest)) == "not_authorized"

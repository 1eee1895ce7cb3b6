"""Behaviors about other sites: who is known, whether it answers, and messages through this site."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client

from capabilities import services
from capabilities.refusal import Refusal
from dmsweb.accounts.tokens import token_create
from node import door
from node.envelope import Envelope
from node.models import Peer
from node.reaching import RefusedThere, Unreachable
from node.services.peers import peer_learn
from tests.unit.node.doorway import Sender, house
from tests.unit.node.other_site import ADDRESS, Other, reachable

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "nonces"])
LIST, SELF, PING = "/dms/node/peers/list", "/dms/node/peers/self", "/dms/node/peers/ping"
INVOKE, DELIVER, BROADCAST = (f"/dms/node/peers/{verb}" for verb in ("invoke", "deliver", "broadcast"))


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setenv("DMS_ADVERTISE", "http://127.0.0.1:8765, https://dms.example.org")
    with house() as made:
        yield made


@pytest.fixture
def there(here):
    with reachable(Other(lambda envelope: {"Heard": envelope.payload()})) as other:
        yield other


def invoke(identity, path, **payload):
    return door.invoke(identity=identity, path=path, payload=payload, source="rest").wire()


def test_this_site_says_who_and_where_it_is(here):
    said = invoke(here.root, SELF)
    assert said["DID"] == {"uri": here.node.identity.did}
    assert said["id"] == here.node.peer_id
    assert said["listen_addr"] == "http://127.0.0.1:8765,https://dms.example.org"
    assert said["Record"]["peers"] == {here.node.peer_id: here.node.identity.did}


def test_known_sites_are_listed_for_who_may_see_them(here, there):
    peer_learn(there.record(), Peer.Via.JOINED)
    (row,) = invoke(here.root, LIST)["Peers"]
    assert (row["did"], row["host"], row["state"], row["via"]) == (there.did, ADDRESS, "unknown", "joined")
    client = Client(headers={"authorization": f"Bearer {token_create(here.root.user, 'test')}"})
    assert client.get("/api/v1/peers/").json()["items"][0]["did"] == there.did
    assert client.get(f"/api/v1/peers/{there.did}").json()["addresses"] == [ADDRESS]
    person = Client(headers={"authorization": f"Bearer {token_create(here.person.user, 'test')}"})
    assert person.get("/api/v1/peers/").json()["items"] == []
    assert person.get(f"/api/v1/peers/{there.did}").status_code == 404
    with pytest.raises(Refusal):
        invoke(here.person, LIST)


def test_ping_says_the_time_or_what_is_wrong(here, there):
    assert invoke(here.root, PING)["Error"] == "host is empty"
    assert invoke(here.root, PING, Host=here.node.identity.did)["Error"] == "cannot ping self"
    assert "no address" in invoke(here.root, PING, Host=there.did)["Error"]
    assert invoke(here.root, PING, Host=ADDRESS)["RTT"] >= 0
    peer_learn(there.record(), Peer.Via.JOINED)
    assert invoke(here.root, PING, Host=there.did)["RTT"] >= 0
    assert Peer.objects.get().state == "reachable"


def test_a_behavior_of_another_site_is_invoked_as_the_node(here, there):
    answer = invoke(here.root, INVOKE, Dest=ADDRESS, Behavior="/test/x", Payload={"a": 1})
    assert (answer["DID"], answer["Payload"]) == (there.did, {"Heard": {"a": 1}})
    assert there.seen[0].sender == here.handle
    with pytest.raises(Refusal) as refused:
        invoke(here.person, INVOKE, Dest=ADDRESS, Behavior="/test/x")
    assert refused.value.members["capability"] == INVOKE


def test_nobody_becomes_the_node_by_naming_this_site(here, there):
    services.grant(here.node.identity, here.person.did, [INVOKE], timedelta(days=1))
    with pytest.raises(Refusal) as refused:
        invoke(here.person, INVOKE, Dest=here.node.identity.did, Behavior="/dms/node/onboarding/offboard")
    assert refused.value.code == "own_site"


def test_an_envelope_of_somebody_else_is_carried_as_it_is(here, there):
    signed = Sender().message(there.actor, "/test/x", {"b": 2})
    answer = invoke(here.root, DELIVER, Dest=ADDRESS, Envelope=signed.to_json().decode())
    assert Envelope.from_document(answer["Reply"]).verify()
    assert there.seen == [signed]
    own = Sender().trusted().message(here.handle, "/test/echo", {"Text": "x"})
    answer = invoke(here.root, DELIVER, Envelope=own.to_json().decode())
    assert Envelope.from_document(answer["Reply"]).payload() == {"Text": "x"}
    for wrong in ("{", json.dumps({"to": {}})):
        with pytest.raises(Refusal):
            invoke(here.root, DELIVER, Envelope=wrong)


def test_a_broadcast_goes_to_every_known_site(here, there):
    peer_learn(there.record(), Peer.Via.JOINED)
    (reply,) = invoke(here.root, BROADCAST, Behavior="/broadcast/x", Topic="/t", Payload={"c": 3})["Replies"]
    assert (reply["did"], reply["payload"]) == (there.did, {"Heard": {"c": 3}})
    there.failures = [Unreachable("http", "not there")]
    (reply,) = invoke(here.root, BROADCAST, Behavior="/broadcast/x", Topic="/t")["Replies"]
    assert reply["problem"]["step"] == "http"


def test_a_refusal_there_is_a_refusal_here_with_who_says_it(here, there):
    def no(envelope):
        raise Refusal("not_authorized", "no token for /x", status=403, capability="/x")

    there.answer = no
    with pytest.raises(RefusedThere) as refused:
        invoke(here.root, INVOKE, Dest=ADDRESS, Behavior="/x")
    assert refused.value.problem()["by"] == there.did
    assert refused.value.problem()["capability"] == "/x"

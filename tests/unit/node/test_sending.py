"""Messages to another site: delivered, refused there, or unreachable at a named step."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress

import pytest

from capabilities.keys import PrivateKey
from capabilities.refusal import Refusal
from node.models import Peer
from node.reaching import RefusedThere, Unreachable
from node.services import sending
from node.services.peers import peer_learn
from tests.support.tls_proxy import tls_proxy
from tests.unit.node.doorway import house
from tests.unit.node.other_site import ADDRESS, Other, reachable
from workers.transport.https import Https

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "nonces"])


@pytest.fixture
def here():
    with house() as made:
        yield made


@pytest.fixture
def there(here):
    with reachable(Other(lambda envelope: {"Heard": envelope.payload()})) as other:
        yield other


def known(other: Other) -> Peer:
    return peer_learn(other.record(), Peer.Via.JOINED)


def test_a_known_site_answers_and_is_noted(there):
    peer = known(there)
    for name in (there.did, there.actor.host, "there", str(there.actor), ADDRESS):
        answer = sending.ask(sending.destination(name), "/test/x", {"a": 1})
        assert (answer.payload, answer.did, answer.address) == ({"Heard": {"a": 1}}, there.did, ADDRESS)
    peer.refresh_from_db()
    assert (peer.state, peer.used_address, peer.last_error) == ("reachable", ADDRESS, "")


def test_who_is_not_known_has_no_address(here):
    stranger = Other()
    with pytest.raises(Unreachable) as missing:
        sending.destination(stranger.did)
    assert missing.value.step == "address"
    assert "join" in missing.value.hint
    for nonsense in ("", "nobody", "did:key:nonsense", "{}x", '{"id": 1}'):
        with pytest.raises(Refusal):
            sending.destination(nonsense)


def test_the_site_itself_is_not_asked_as_its_own_node(here):
    with pytest.raises(Refusal) as refused:
        sending.ask(sending.destination(here.node.identity.did), "/test/echo", {})
    assert refused.value.code == "own_site"


def test_a_no_from_there_says_what_is_missing(there):
    def no(envelope):
        raise Refusal("not_authorized", "no token for /x", status=403, hint="ask", capability="/x")

    there.answer = no
    with pytest.raises(RefusedThere) as refused:
        sending.ask(sending.of_peer(known(there)), "/x", {})
    assert (refused.value.code, refused.value.status) == ("not_authorized", 403)
    assert refused.value.members["capability"] == "/x"
    assert refused.value.members["signed"] is True
    assert Peer.objects.get().state == "reachable"


def test_an_answer_of_somebody_else_is_none(there):
    peer = known(there)
    there.key = PrivateKey.generate()
    with pytest.raises(Unreachable, match="somebody else answers"):
        sending.ask(sending.of_peer(peer), "/x", {})
    assert Peer.objects.get().state == "unreachable"


def test_what_was_not_handled_is_sent_again_and_nothing_else(there):
    peer = known(there)
    there.failures = [
        Unreachable("connect", "no connection", again=True),
        Unreachable("http", "503", again=True),
    ]
    assert sending.ask(sending.of_peer(peer), "/x", {}).payload == {"Heard": {}}
    there.failures = [Unreachable("answer", "it did not answer")]
    with pytest.raises(Unreachable) as lost:
        sending.ask(sending.of_peer(peer), "/x", {})
    assert (lost.value.code, lost.value.status) == ("no_answer", 504)
    assert len(there.seen) == 1
    there.failures = [Unreachable("connect", "no connection", again=True)] * 5
    with pytest.raises(Unreachable):
        sending.ask(sending.of_peer(peer), "/x", {})
    assert len(there.failures) == 2


def test_the_next_address_is_tried(there):
    peer = peer_learn(there.record(addresses=["http://127.0.0.1:1", ADDRESS]), Peer.Via.JOINED)
    there.failures = [Unreachable("connect", "no connection", again=True)]
    assert sending.ask(sending.of_peer(peer), "/x", {}).address == ADDRESS
    peer.refresh_from_db()
    assert sending.of_peer(peer).addresses[0] == ADDRESS


def test_an_older_record_replaces_no_newer_one(there):
    old, new = there.record(name="old"), there.record(name="new")
    peer_learn(new, Peer.Via.JOINED)
    peer_learn(old, Peer.Via.HELLO)
    assert Peer.objects.get().name == "new"


def refusing_port() -> int:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Served:
    """Answers every connection with the same bytes, after reading a little."""

    def __init__(self, answer: bytes, *, hold_s: float = 0.0) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._answer, self._hold_s = answer, hold_s
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                # What is left unread at the end would reset the connection.
                connection.settimeout(0.3)
                heard = b""
                with suppress(TimeoutError):
                    while not heard.endswith(b"{}"):
                        heard += connection.recv(65_536) or b"{}"
                time.sleep(self._hold_s)
                connection.sendall(self._answer)

    def close(self) -> None:
        self._socket.close()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def failure(address: str, timeout_s: float = 3.0) -> Unreachable:
    with pytest.raises(Unreachable) as found:
        Https().carry(b"{}", address, "invoke", timeout_s)
    return found.value


def test_each_step_that_fails_is_named():
    assert failure("https://nowhere.invalid").step == "resolve"
    refused = failure(f"http://127.0.0.1:{refusing_port()}")
    assert (refused.step, refused.again) == ("connect", True)
    with pytest.raises(Refusal, match="plain HTTP"):
        Https().carry(b"{}", "http://192.0.2.1", "invoke", 1.0)


@pytest.mark.parametrize(
    ("answer", "step", "again"),
    [
        (http("404 Not Found", b"<html>"), "http", False),
        (http("502 Bad Gateway"), "http", True),
        (http("302 Found", b"", "Location: http://127.0.0.1:1/"), "http", False),
        (http("200 OK", b"x" * 1_048_577), "http", False),
        (
            http("503 Service Unavailable", b'{"type": "urn:dms:problem:mailbox_full", "detail": "x"}'),
            "http",
            True,
        ),
        (b"", "answer", False),
    ],
)
def test_what_answers_otherwise_is_no_site(answer, step, again):
    served = Served(answer)
    try:
        found = failure(f"http://127.0.0.1:{served.port}")
    finally:
        served.close()
    assert (found.step, found.again) == (step, again)


def test_plain_bytes_are_no_secure_connection_and_silence_is_no_answer():
    served = Served(b"hello, this is no TLS", hold_s=0.5)
    try:
        assert failure(f"https://127.0.0.1:{served.port}").step == "tls"
        assert failure(f"http://127.0.0.1:{served.port}", 0.2).step == "answer"
    finally:
        served.close()


def test_a_certificate_counts_when_its_authority_does(tmp_path, monkeypatch):
    served = Served(http("200 OK", b"{}"))
    with tls_proxy(tmp_path) as proxy:
        proxy.upstream = ("127.0.0.1", served.port)
        address = f"https://localhost:{proxy.port}"
        assert failure(address).step == "tls"
        monkeypatch.setenv("DMS_PEER_CA", str(proxy.certificate))
        assert Https().carry(b"{}", address, "invoke", 3.0) == b"{}"
        assert failure(f"https://127.0.0.1:{proxy.port}").step == "tls"
    served.close()


def test_an_unsigned_no_is_told_as_such():
    served = Served(
        http("404 Not Found", b'{"type": "urn:dms:problem:unknown_receiver", "detail": "not me"}')
    )
    try:
        with pytest.raises(RefusedThere) as refused:
            Https().carry(b"{}", f"http://127.0.0.1:{served.port}", "invoke", 3.0)
    finally:
        served.close()
    assert (refused.value.code, refused.value.members["signed"]) == ("unknown_receiver", False)

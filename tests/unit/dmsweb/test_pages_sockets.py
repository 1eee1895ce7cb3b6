"""WebSockets of the pages: refused cases first, then what a person who is logged in gets."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from deployments.models import Allocation
from deployments.outside import OUTSIDE
from dmsweb.asgi import application
from dmsweb.pages import logs
from tests.unit.dmsweb.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://localhost")


def socket(client, path="/ws/live/", origin=ORIGIN):
    headers = [origin] if origin else []
    if client is not None:
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
        headers.append((b"cookie", cookie.encode()))
    return Socket(application, path, headers)


@pytest.fixture
async def clients(transactional_db, people):
    return {name: await sync_to_async(people.client)(name) for name in ("alice", "bob", "charlie")}


async def refused(communicator):
    accepted = await communicator.connect()
    await communicator.disconnect()
    return not accepted


async def test_anonymous_is_refused_before_the_handshake(people):
    assert await refused(socket(None))
    assert await refused(socket(None, "/ws/logs/x/"))


async def test_a_foreign_origin_is_refused(clients):
    assert await refused(socket(clients["bob"], origin=(b"origin", b"http://evil.example")))
    assert await refused(socket(clients["bob"], "/ws/logs/x/", origin=(b"origin", b"http://evil.example")))
    assert await refused(socket(clients["bob"], origin=None))


async def subscribe(communicator, *groups):
    accepted = await communicator.connect()
    assert accepted
    await communicator.send({"subscribe": list(groups)})
    return await communicator.receive()


async def test_groups_are_given_only_for_what_the_person_may_see(people, clients):
    deployment = await sync_to_async(people.deploy)("bob")
    bob = await sync_to_async(people.identity)("bob")
    groups = [
        f"deployment.{deployment.pk}",
        f"stats.{deployment.pk}",
        f"identity.{bob.pk}",
        f"node.{people.node.pk}",
        "deployment.nope",
        "x",
    ]
    for name, allowed in (("bob", 4), ("alice", 4), ("charlie", 1)):
        communicator = socket(clients[name])
        answer = await subscribe(communicator, *groups)
        assert len(answer["subscribed"]) == allowed, name
        assert set(answer["subscribed"]) | set(answer["refused"]) == set(groups)
        await communicator.disconnect()


async def test_a_change_is_passed_on_to_who_subscribed(people, clients):
    deployment = await sync_to_async(people.deploy)("bob")
    group = f"deployment.{deployment.pk}"
    mine, strange = socket(clients["bob"]), socket(clients["charlie"])
    await subscribe(mine, group)
    await subscribe(strange, group)
    await get_channel_layer().group_send(group, {"type": "live.changed", "group": group})
    assert await mine.receive() == {"changed": [group]}
    assert await strange.receive_nothing()
    await mine.send({"subscribe": []})
    assert (await mine.receive())["subscribed"] == []
    await get_channel_layer().group_send(group, {"type": "live.changed", "group": group})
    assert await mine.receive_nothing()
    await mine.disconnect()
    await strange.disconnect()


async def test_nonsense_is_answered_not_fatal(clients):
    communicator = socket(clients["bob"])
    assert await communicator.connect()
    nonsense: object
    for nonsense in ({}, {"subscribe": "all"}, [], {"subscribe": ["g"] * 10_000}):
        await communicator.send(nonsense)
        assert "error" in await communicator.receive()
    await communicator.disconnect()


class Log:
    """A log that grows while it is followed."""

    def __init__(self, *chunks, forever=False):
        self.chunks, self.forever = chunks, forever
        self.closed = threading.Event()

    def read(self, allocation_id, query, *, stopped=lambda: False):
        self.stream = query.stream
        try:
            yield from self.chunks
            while self.forever and not stopped():
                yield b"x" * 1000
        finally:
            self.closed.set()

    def write(self, allocation_id):
        return ""


def allocate(people, name="bob"):
    made = people.deploy(name)
    return Allocation.objects.create(
        id=f"{made.pk}_here.hello", deployment=made, owner=made.owner, node=people.node, ensemble_node="here",
        name="hello", type="task", executor="process", spec={}, dns_name="hello",
    )  # fmt: skip


async def everything(communicator):
    text = ""
    while True:
        message = await communicator.receive()
        text += message.get("text", "")
        if message.get("end"):
            return text, message.get("problem", "")


async def test_a_log_is_followed_to_its_end(people, clients, monkeypatch):
    allocation = await sync_to_async(allocate)(people)
    source = Log(b"one\n", "zwei ü\n".encode()[:6], "zwei ü\n".encode()[6:], b"\xff\n")
    monkeypatch.setattr(OUTSIDE, "logs", source)
    communicator = socket(clients["bob"], f"/ws/logs/{allocation.pk}/?stream=stderr")
    assert await communicator.connect()
    assert await everything(communicator) == ("one\nzwei ü\n\ufffd\n", "")
    assert source.stream == "stderr"


async def test_a_strangers_log_and_a_bad_stream_are_refused(people, clients, monkeypatch):
    allocation = await sync_to_async(allocate)(people)
    monkeypatch.setattr(OUTSIDE, "logs", Log(b"secret"))
    assert await refused(socket(clients["charlie"], f"/ws/logs/{allocation.pk}/"))
    assert await refused(socket(clients["bob"], f"/ws/logs/{allocation.pk}/?stream=both%00"))
    assert await refused(socket(clients["bob"], "/ws/logs/nope/"))


async def test_reading_stops_when_the_page_is_closed(people, clients, monkeypatch):
    allocation = await sync_to_async(allocate)(people)
    source = Log(forever=True)
    monkeypatch.setattr(OUTSIDE, "logs", source)
    communicator = socket(clients["bob"], f"/ws/logs/{allocation.pk}/")
    assert await communicator.connect()
    await communicator.receive()
    await communicator.disconnect()
    assert await asyncio.to_thread(source.closed.wait, 10)


async def test_a_failing_log_says_so(people, clients, monkeypatch):
    class Broken(Log):
        def read(self, *args, **kwargs):
            raise OSError("engine away")
            yield b""

    allocation = await sync_to_async(allocate)(people)
    monkeypatch.setattr(OUTSIDE, "logs", Broken())
    communicator = socket(clients["bob"], f"/ws/logs/{allocation.pk}/")
    assert await communicator.connect()
    text, problem = await everything(communicator)
    assert (text, problem) == ("", "the log cannot be read: engine away")


async def test_followers_are_bounded(people, clients, monkeypatch):
    allocation = await sync_to_async(allocate)(people)
    monkeypatch.setattr(logs, "_free", threading.BoundedSemaphore(1))
    monkeypatch.setattr(OUTSIDE, "logs", Log(b"", forever=True))
    first = socket(clients["bob"], f"/ws/logs/{allocation.pk}/")
    assert await first.connect()
    await first.receive()
    second = socket(clients["bob"], f"/ws/logs/{allocation.pk}/")
    assert await second.connect()
    assert "try again later" in (await second.receive())["problem"]
    await first.disconnect()


async def test_any_other_address_is_refused(clients):
    assert await refused(socket(clients["bob"], "/ws/nothing/"))

"""Commands inside allocations: the door, its tickets, and the socket that carries them, with a terminal of the test's.

Real containers and sandboxes are in tests/integration/test_terminals.py and tests/e2e/test_exec.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import queue
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from capabilities.models import AuditEntry, Token
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.services import revoke
from deployments.models import Allocation, ExecSession
from deployments.outside import OUTSIDE, Unopened
from deployments.services import execs
from deployments.services.execs import EXEC
from dmsweb.accounts.models import ApiToken
from dmsweb.accounts.services import password_set, user_switch
from dmsweb.accounts.tokens import token_create
from dmsweb.asgi import application
from dmsweb.pages import terminal as door_of_sockets
from node.door import invoke
from tests.support.services import wait_for
from tests.unit.dmsweb.sockets import PATIENCE_S, Socket
from workers import terminals

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]
HERE = (b"origin", b"http://localhost")


class Played:
    """A terminal whose output the test puts in, and that notes what it is told."""

    handle = "played"

    def __init__(self):
        self.output: queue.Queue[object] = queue.Queue()
        self.told = []
        self.closed = threading.Event()
        self.stuck = threading.Event()

    def read(self):
        return self.output.get(timeout=PATIENCE_S)

    def write(self, data):
        self.told.append(data)

    def close_input(self):
        self.told.append("eof")

    def resize(self, rows, columns):
        self.told.append((rows, columns))

    def signal(self, name):
        self.told.append(name)

    def wait(self):
        return 3

    def close(self):
        self.closed.set()
        self.output.put(None)


class Source:
    """A source of played terminals."""

    def __init__(self):
        self.opened = []
        self.ended = []
        self.alive = True
        self.fault = None

    def open(self, allocation_id, command):
        if self.fault:
            raise self.fault
        self.opened.append(SimpleNamespace(terminal=Played(), command=command))
        return self.opened[-1].terminal

    def runs(self, allocation_id):
        return self.alive

    def end(self, allocation_id, handle):
        self.ended.append(handle)


@pytest.fixture
def source(monkeypatch):
    made = Source()
    monkeypatch.setattr(OUTSIDE, "terminals", made)
    return made


@pytest.fixture
def numbers(monkeypatch):
    def use(**changes):
        changed = dataclasses.replace(NUMBERS, **changes)
        monkeypatch.setattr(door_of_sockets, "NUMBERS", changed)
        monkeypatch.setattr(execs, "NUMBERS", changed)

    return use


def running(people, name="bob"):
    made = people.deploy(name, status="Running")
    return Allocation.objects.create(
        id=f"{made.pk}_here.hello", deployment=made, owner=made.owner, node=people.node, ensemble_node="here",
        name="hello", type="service", executor="process", spec={}, dns_name="hello", status="running",
        execution_id="x-1",
    )  # fmt: skip


def ask(people, allocation, name="bob", **payload):
    asked = {"EnsembleID": allocation.deployment_id, "Command": ["sh", "-c", "echo 'a\nb'"]} | payload
    return invoke(identity=people.identity(name), path=EXEC, payload=asked, source="cli", remote_addr="::1")


def socket(path, *, client=None, token="", origin=HERE):
    headers = [(b"host", b"localhost")] + ([origin] if origin else [])
    if client is not None:
        cookie = "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items())
        headers.append((b"cookie", cookie.encode()))
    if token:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    return Socket(application, path, headers)


async def heard(communicator):
    """The next message: bytes, or a JSON document."""
    message = await communicator.receive_output(PATIENCE_S)
    if message["type"] == "websocket.close":
        return "closed"
    return message["bytes"] if message.get("bytes") is not None else json.loads(message["text"])


@pytest.fixture
async def session(people, source):
    """An allocation of bob's, and a way to open a socket with a fresh ticket as bob."""
    allocation = await sync_to_async(running)(people)
    client = await sync_to_async(people.client)("bob")

    async def begin(query="", **payload):
        answer = await sync_to_async(ask)(people, allocation, **payload)
        opened = socket(f"/ws/exec/{answer.ticket}/{query}", client=client)
        assert await opened.connect()
        started = await heard(opened)
        assert started["started"]["allocation"] == "here.hello"
        return opened, source.opened[-1].terminal

    return SimpleNamespace(allocation=allocation, begin=begin, client=client)


def refusal_of(people, allocation, name, **payload):
    with pytest.raises(Refusal) as caught:
        ask(people, allocation, name, **payload)
    return caught.value


async def test_the_door_refuses_by_name(people, source):
    def check():
        allocation = running(people)
        assert refusal_of(people, allocation, "charlie").status == 404
        assert refusal_of(people, allocation, "bob", AllocationName="nope").status == 404
        assert refusal_of(people, allocation, "bob", Rows=0).code == "invalid_request"
        assert refusal_of(people, allocation, "bob", Command=["x" * 70_000]).code == "invalid_request"
        Allocation.objects.update(status="pending")
        assert refusal_of(people, allocation, "bob").code == "allocation_not_running"
        for token in Token.objects.filter(subject=people.identity("bob").did):
            revoke(token)
        refusal = refusal_of(people, allocation, "bob")
        assert (refusal.status, refusal.members["capability"]) == (403, EXEC)
        refused = AuditEntry.objects.filter(path=EXEC, outcome="refused")
        assert refused.count() == 6

    await sync_to_async(check)()


async def test_sessions_are_counted(people, source, numbers):
    def check():
        numbers(exec_sessions_per_user_max=2, exec_sessions_max=3)
        mine, other = running(people), running(people, "charlie")
        ask(people, mine)
        ask(people, mine)
        refusal = refusal_of(people, mine, "bob")
        assert (refusal.code, refusal.status) == ("too_many_sessions", 429)
        ask(people, other, "charlie")
        assert "this site has 3" in refusal_of(people, other, "charlie").detail
        ExecSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        ask(people, mine)

    await sync_to_async(check)()


async def test_a_ticket_lets_in_once_in_time_and_only_its_owner(people, session):
    answer = await sync_to_async(ask)(people, session.allocation)
    path = f"/ws/exec/{answer.ticket}/"
    assert not await socket(path).connect()
    assert not await socket(path, client=session.client, origin=(b"origin", b"http://evil.example")).connect()
    assert not await socket(path, token="nonsense").connect()
    charlie = await sync_to_async(people.client)("charlie")
    for who, lets_in in ((charlie, False), (session.client, True), (session.client, False)):
        opened = socket(path, client=who)
        assert await opened.connect()
        first = await heard(opened)
        if lets_in:
            assert "started" in first
            await opened.disconnect()
        else:
            assert first["error"]["type"].endswith("ticket_spent")
            assert await heard(opened) == "closed"
    late = await sync_to_async(ask)(people, session.allocation)
    await sync_to_async(ExecSession.objects.update)(expires_at=timezone.now())
    opened = socket(f"/ws/exec/{late.ticket}/", client=session.client)
    assert await opened.connect()
    assert "error" in await heard(opened)


@pytest.mark.parametrize("forever", [True, False])
async def test_an_api_token_opens_it_too_until_it_is_revoked(people, session, numbers, forever):
    numbers(exec_recheck_s=0.05)
    token = await sync_to_async(token_create)(people.bob)
    if forever:
        await sync_to_async(ApiToken.objects.update)(expiry=None)
    answer = await sync_to_async(ask)(people, session.allocation)
    opened = socket(f"/ws/exec/{answer.ticket}/", token=token)
    assert await opened.connect()
    assert "started" in await heard(opened)
    assert await opened.receive_nothing(0.3)
    await sync_to_async(ApiToken.objects.all().delete)()
    assert (await heard(opened))["error"]["type"].endswith("logged_out")


async def test_bytes_go_both_ways_and_the_end_is_written_down(people, session, source):
    opened, played = await session.begin(TTY=False, Rows=30, Columns=90, User="")
    command = source.opened[-1].command
    assert (command.argv, command.rows, command.columns) == (("sh", "-c", "echo 'a\nb'"), 30, 90)
    await opened.send_input({"type": "websocket.receive", "bytes": b"\x00\xffin"})
    assert await heard(opened) == {"taken": 4}
    await opened.send({"resize": [50, 132]})
    await opened.send({"signal": "INT"})
    await opened.send({"eof": True})
    played.output.put(("stdout", b"one"))
    played.output.put(("stderr", b"\xfe"))
    played.output.put(("stdout", b"two"))
    said = [await heard(opened) for _ in range(5)]
    assert said == [b"one", {"stream": "stderr"}, b"\xfe", {"stream": "stdout"}, b"two"]
    await asyncio.to_thread(wait_for, lambda: len(played.told) == 4, what="all four")
    assert played.told[0] == b"\x00\xffin"
    assert set(played.told[1:]) == {(50, 132), "INT", "eof"}
    played.output.put(None)
    assert await heard(opened) == {"exit": 3, "reason": ""}
    assert await heard(opened) == "closed"

    def rows():
        ended, asked = AuditEntry.objects.filter(path=EXEC)[:2]
        assert asked.request["Command"][:2] == ["sh", "-c"]
        assert (ended.actor, ended.outcome, ended.source) == (people.identity("bob").did, "allowed", "cli")
        assert ended.reason.startswith("ended: exit code 3 after ")
        # In full: a line break hides nothing.
        assert ended.request["Command"] == "sh -c 'echo '\"'\"'a\\nb'\"'\"''"
        assert (ended.request["BytesIn"], ended.request["BytesOut"], ended.request["ExitCode"]) == (4, 7, 3)
        event = session.allocation.deployment.events.get(kind="exec")
        assert event.text.startswith("exec by bob in here.hello: sh -c ")
        row = ExecSession.objects.get()
        assert (row.exit_code, row.reason, row.bytes_out) == (3, "", 7)

    await sync_to_async(rows)()


async def test_nonsense_is_answered_and_goes_on(session):
    opened, played = await session.begin()
    nonsense: object
    for nonsense in ({}, [], {"resize": [0, 5]}, {"resize": "x"}, {"resize": [1]}):
        await opened.send(nonsense)
        assert "warning" in await heard(opened), nonsense
    await opened.send_input({"type": "websocket.receive", "text": "{"})
    assert "warning" in await heard(opened)
    played.output.put(None)
    assert await heard(opened) == {"exit": 3, "reason": ""}


async def test_no_more_is_sent_than_a_browser_has_shown(session):
    opened, played = await session.begin("?window=4096")
    for _ in range(20):
        played.output.put(("stdout", b"x" * 1_000))
    for _ in range(5):
        assert len(await heard(opened)) == 1_000
    assert await opened.receive_nothing(0.3)
    # One piece is in hand, the rest waits outside.
    assert played.output.qsize() == 14
    await opened.send({"shown": 5_000})
    for _ in range(5):
        assert len(await heard(opened)) == 1_000
    await opened.disconnect()


async def test_leaving_ends_the_command(session):
    opened, played = await session.begin()
    await opened.disconnect()
    assert played.closed.is_set()
    row = await sync_to_async(ExecSession.objects.get)()
    assert (row.exit_code, row.reason, row.ended_at is None) == (None, "closed", False)
    entry = await AuditEntry.objects.filter(path=EXEC, outcome="failed").aget()
    assert "no exit code, closed" in entry.reason


async def test_leaving_while_it_is_being_begun_ends_it_too(people, session, source, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    opening = source.open

    def slow(*arguments):
        begun.set()
        go_on.wait(PATIENCE_S)
        return opening(*arguments)

    monkeypatch.setattr(source, "open", slow)
    answer = await sync_to_async(ask)(people, session.allocation)
    opened = socket(f"/ws/exec/{answer.ticket}/", client=session.client)
    assert await opened.connect()
    assert await asyncio.to_thread(begun.wait, PATIENCE_S)
    await opened.send_input({"type": "websocket.disconnect", "code": 1001})
    assert await opened.receive_nothing(0.2)
    go_on.set()
    await opened.wait(PATIENCE_S)
    assert source.opened[-1].terminal.closed.is_set()
    assert (await ExecSession.objects.aget()).reason == "closed"


async def test_the_sites_stop_is_told_apart(session):
    opened, played = await session.begin()
    await opened.send_input({"type": "websocket.disconnect", "code": 1012})
    await opened.wait(PATIENCE_S)
    assert played.closed.is_set()
    assert (await sync_to_async(ExecSession.objects.get)()).reason == "site_stopped"


def log_out(people, client):
    client.logout()


def withdraw(people, client):
    for token in Token.objects.filter(subject=people.identity("bob").did):
        revoke(token)


def deactivate(people, client):
    user_switch(people.bob, active=False)


def new_password(people, client):
    password_set(people.bob, "another horse battery")


def stop(people, client):
    Allocation.objects.update(status="terminated")


def restart(people, client):
    Allocation.objects.update(execution_id="x-2")


async def written_down():
    """The session's row once its end stands there: the window is told before.

    Looks as a task among others: waiting in the one thread of the database would keep the end from being written.
    """
    async with asyncio.timeout(PATIENCE_S):
        while (row := await ExecSession.objects.exclude(ended_at=None).afirst()) is None:
            await asyncio.sleep(0.05)
    return row


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (log_out, "logged_out"),
        (deactivate, "logged_out"),
        (new_password, "logged_out"),
        (withdraw, "not_authorized"),
        (stop, "allocation_ended"),
        (restart, "allocation_ended"),
    ],
)
async def test_it_ends_with_what_it_rests_on(people, session, numbers, act, word):
    numbers(exec_recheck_s=0.05)
    opened, played = await session.begin()
    await sync_to_async(act)(people, session.client)
    assert (await heard(opened))["error"]["type"].endswith(word)
    assert await heard(opened) == "closed"
    assert await asyncio.to_thread(played.closed.wait, PATIENCE_S)
    row = await written_down()
    assert row.reason == word


async def test_silence_ends_it(session, numbers):
    numbers(exec_recheck_s=0.05, exec_idle_s=0.1)
    opened, played = await session.begin()
    assert (await heard(opened))["error"]["type"].endswith("idle")
    assert await asyncio.to_thread(played.closed.wait, PATIENCE_S)


async def test_an_end_with_the_allocation_says_so(session, source, monkeypatch):
    opened, played = await session.begin()
    monkeypatch.setattr(played, "wait", lambda: 137)
    source.alive = False
    played.output.put(None)
    assert await heard(opened) == {"exit": 137, "reason": "allocation_ended"}


async def test_what_cannot_be_opened_says_why(people, session, source):
    source.fault = Unopened("gone", "its container does not run")
    answer = await sync_to_async(ask)(people, session.allocation)
    opened = socket(f"/ws/exec/{answer.ticket}/", client=session.client)
    assert await opened.connect()
    assert (await heard(opened))["error"]["detail"] == "its container does not run"


async def test_sessions_of_a_dead_process_are_ended_and_old_ones_forgotten(
    people, session, source, monkeypatch
):
    opened, played = await session.begin()
    monkeypatch.setattr(terminals, "AllocationTerminals", lambda: source)

    def check():
        terminals.clear_up()
        assert ExecSession.objects.get().ended_at is None
        ExecSession.objects.update(seen_at=timezone.now() - timedelta(seconds=120))
        terminals.clear_up()
        terminals.clear_up()
        assert source.ended == ["played"]
        assert ExecSession.objects.get().reason == "lost"
        assert AuditEntry.objects.filter(path=EXEC, outcome="failed").count() == 1
        ask(people, session.allocation)
        ExecSession.objects.filter(opened_at=None).update(expires_at=timezone.now() - timedelta(seconds=120))
        ExecSession.objects.exclude(ended_at=None).update(ended_at=timezone.now() - timedelta(days=365))
        terminals.clear_up()
        assert not ExecSession.objects.exists()

    await sync_to_async(check)()
    await opened.disconnect()

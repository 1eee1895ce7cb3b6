"""Sockets end with what let them in: an account shut out, a token revoked, a logout, a team left; each at once."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from capabilities.numbers import NUMBERS
from dmsweb.accounts.roles import role_assign
from dmsweb.accounts.services import password_set, user_switch
from dmsweb.accounts.tokens import token_create, token_revoke
from dmsweb.asgi import application
from dmsweb.pages.watched import LET_OUT, account_group
from node import live
from tests.unit.dmsweb.sockets import PATIENCE_S, Socket

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://localhost")


@pytest.fixture(autouse=True)
def announced(monkeypatch):
    """Publish into this loop's layer: the publisher of the site has a loop, and a broker, of its own."""
    groups: list[str] = []
    monkeypatch.setattr("dmsweb.accounts.telling.changed", lambda *names: groups.extend(names))
    return groups


def by_cookie(client):
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    return Socket(application, "/ws/live/", [ORIGIN, (b"cookie", cookie.encode())])


def by_token(text):
    return Socket(application, "/ws/live/", [ORIGIN, (b"authorization", f"Bearer {text}".encode())])


async def tell(announced):
    layer = get_channel_layer()
    for group in announced:
        await layer.group_send(group, {"type": "live.changed", "group": group})


async def closed(socket):
    message = await socket.receive_output(PATIENCE_S)
    return (message["type"], message.get("code")) == ("websocket.close", LET_OUT)


@pytest.mark.parametrize("how", ["disabled", "password", "logout"])
async def test_a_login_that_ends_ends_its_sockets(people, announced, how):
    client = await sync_to_async(people.client)("bob")
    other = await sync_to_async(people.client)("charlie")
    socket, stranger = by_cookie(client), by_cookie(other)
    assert await socket.connect()
    assert await stranger.connect()
    if how == "disabled":
        await sync_to_async(user_switch)(people.bob, active=False)
    elif how == "password":
        await sync_to_async(password_set)(people.bob, "another horse battery")
    else:
        await sync_to_async(client.post)("/logout/")
    assert account_group(people.bob.pk) in announced
    await tell(announced)
    assert await closed(socket)
    await stranger.send({"subscribe": []})
    assert await stranger.receive() == {"subscribed": [], "refused": []}
    await stranger.disconnect()


async def test_a_revoked_token_ends_its_socket_and_no_other(people, announced):
    first = await sync_to_async(token_create)(people.bob, "one")
    second = await sync_to_async(token_create)(people.bob, "two")
    one, two = by_token(first), by_token(second)
    assert await one.connect()
    assert await two.connect()
    await sync_to_async(token_revoke)(people.bob, first[:15])
    await tell(announced)
    assert await closed(one)
    await two.send({"subscribe": []})
    assert (await two.receive())["refused"] == []
    await two.disconnect()


async def test_what_a_role_no_longer_shows_is_left(people, announced):
    deployment = await sync_to_async(people.deploy)("bob")
    await sync_to_async(role_assign)(people.charlie, "operator")
    announced.clear()
    group = f"deployment.{deployment.pk}"
    socket = by_cookie(await sync_to_async(people.client)("charlie"))
    assert await socket.connect()
    await socket.send({"subscribe": [group]})
    assert (await socket.receive())["subscribed"] == [group]
    await sync_to_async(role_assign)(people.charlie, "viewer")
    await tell(announced)
    await tell([group])
    assert await socket.receive_nothing(0.2)
    await socket.disconnect()


async def test_a_narrowed_token_hears_of_its_deployment_alone(people):
    one = await sync_to_async(people.deploy)("bob")
    other = await sync_to_async(people.deploy)("bob")
    text = await sync_to_async(token_create)(people.bob, "one", deployment=one.pk)
    socket = by_token(text)
    assert await socket.connect()
    await socket.send(
        {"subscribe": [f"deployment.{one.pk}", f"deployment.{other.pk}", f"node.{people.node.pk}"]}
    )
    assert (await socket.receive())["subscribed"] == [f"deployment.{one.pk}"]
    await socket.disconnect()


def test_settling_waits_until_all_is_published():
    import threading

    sent: list[str] = []
    gate = threading.Event()

    def send(group):
        gate.wait(PATIENCE_S)
        sent.append(group)

    publisher = live.Publisher(send, interval_s=0.0)
    threading.Thread(target=publisher.run, daemon=True).start()
    publisher.announce(("a", "b"))
    assert publisher.settle(0.05) is False
    gate.set()
    assert publisher.settle(PATIENCE_S)
    assert sorted(sent) == ["a", "b"]


async def test_a_lost_message_is_found_by_looking_again(people, monkeypatch):
    from dataclasses import replace

    from dmsweb.pages import watched

    monkeypatch.setattr(watched, "NUMBERS", replace(NUMBERS, socket_recheck_s=0.05))
    socket = by_cookie(await sync_to_async(people.client)("bob"))
    assert await socket.connect()
    await sync_to_async(user_switch)(people.bob, active=False)
    assert await asyncio.wait_for(closed(socket), PATIENCE_S)

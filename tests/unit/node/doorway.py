"""A node with a root and an ordinary user, behaviors to call, and senders of envelopes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from capabilities import custody, selectors, tokens
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import Identity
from capabilities.services import root_add
from dmsweb.accounts.services import user_create
from dmsweb.preparing import node_ensure
from node import actor
from node.envelope import Envelope, compose
from node.handle import EMPTY, Handle
from node.message import Message
from node.models import Node
from node.registry import REGISTRY, Behavior, Call

NS = 1_000_000_000
DAY_NS = 86_400 * NS


class Ask(Message):
    """A request."""

    text: str = Field(alias="Text")
    times: int = Field(default=1, alias="Times", ge=1, le=10)


class Answer(Message):
    """A response."""

    text: str = Field(alias="Text")


def echo(call: Call, request: Ask) -> Answer:
    """Say the text as often as asked."""
    return Answer(text=request.text * request.times)


def breaks(call: Call, request: Ask) -> Answer:
    """Fail in a way that nobody expected."""
    raise ZeroDivisionError("secret of the implementation")


def who(call: Call, request: Message) -> Answer:
    """Say who asks."""
    return Answer(text=call.invoker.did)


@contextmanager
def behaviors(*entries: Behavior) -> Iterator[None]:
    """Register entries for the time of a test."""
    for entry in entries:
        REGISTRY.add(entry)
    try:
        yield
    finally:
        for entry in entries:
            del REGISTRY.entries[entry.path]


ECHO = Behavior("/test/echo", Ask, Answer, echo)
CHANGE = Behavior("/test/change", Ask, Answer, echo, changes=True)
BREAKS = Behavior("/test/breaks", Ask, Answer, breaks)
WHO = Behavior("/test/who", Message, Answer, who)
HEARD = Behavior("/broadcast/heard", Ask, Answer, echo, topic="/test/topic")
SLOW = Behavior("/test/slow", Ask, Answer, echo, max_ahead_s=7200.0)


@dataclass
class House:
    """One node and two people."""

    node: Node
    key: PrivateKey
    root: Identity
    person: Identity

    @property
    def handle(self) -> Handle:
        """How the node is addressed."""
        return Handle.of_key(self.key.public)


@contextmanager
def house() -> Iterator[House]:
    """Make the rows of a node, with nothing cached from another test's database."""
    key = PrivateKey.generate()
    actor.stop()
    selectors.forget()
    custody.keep(key)
    try:
        with behaviors(ECHO, CHANGE, BREAKS, WHO, HEARD, SLOW):
            node = node_ensure(key, "here")
            root = user_create("root", admin=True).identity
            person = user_create("person").identity
            yield House(node, key, root, person)
    finally:
        actor.stop()
        custody.forget()
        selectors.forget()


@dataclass
class Sender:
    """Somebody with a key who sends envelopes."""

    key: PrivateKey = field(default_factory=PrivateKey.generate)
    nonce: int = field(default_factory=time.time_ns)

    @property
    def did(self) -> str:
        """The sender's DID."""
        return did_of(self.key.public)

    def trusted(self) -> Sender:
        """Make the sender a root of the node."""
        root_add(self.did)
        return self

    def token(
        self, issuer: PrivateKey, path: str, *, action: str = "invoke", audience: str = "", **more
    ) -> bytes:
        """Return an encoded list with one token from `issuer`."""
        more.setdefault("expires_ns", time.time_ns() + DAY_NS)
        token = tokens.issue(
            issuer, action=action, subject=self.did, capabilities=(path,), audience=audience, **more
        )
        return tokens.TokenList((token,)).encode()

    def message(
        self, to: Handle | None, path: str, payload=None, *, cont: str = "/private/user/1", **more
    ) -> Envelope:
        """Return a signed message; `to` None for a broadcast."""
        self.nonce += 1
        more.setdefault("now_ns", time.time_ns())
        sender = more.pop("sender", None) or Handle.of_key(self.key.public, "user-1")
        draft = compose(
            to=EMPTY if to is None else to,
            behavior=path,
            sender=sender,
            payload=payload,
            nonce=self.nonce,
            reply_to=cont,
            **more,
        )
        return draft.sign(self.key)


def content(reply: Envelope | None) -> dict[str, Any]:
    """Return the JSON document in a reply."""
    assert reply is not None
    assert reply.verify()
    document: dict[str, Any] = json.loads(reply.message or b"{}")
    return document

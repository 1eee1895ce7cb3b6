"""The registry of behaviors: declared once, offered everywhere.

A behavior is a path, a request type, a response type and a handler. From this one declaration come its
capability (the path), its REST endpoint, its OpenAPI entry, its CLI sub-command and its documentation.

    @behavior("/dms/node/onboarding/status", request=Empty, response=OnboardStatusResponse)
    def onboarding_status(call: Call, request: Empty) -> OnboardStatusResponse:
        \"\"\"Say whether this machine is onboarded.\"\"\"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from node.message import Message

if TYPE_CHECKING:
    from capabilities.models import Identity
    from node.models import Node

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True, slots=True)
class Call:
    """Who invokes, on which node, when, and by which way in (`web`, `rest`, `cli`, `admin`, `peer`); `path` is what."""

    invoker: Identity
    node: Node
    now: datetime
    source: str = "rest"
    remote_addr: str = ""
    request_id: str = ""
    expires_at: datetime | None = None
    is_root: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True)
class Behavior:
    """One entry of the registry.

    `changes`: the invocation is written to the audit log also when it is allowed. `public`: under `/public/`,
    bounded by the limiter. `topic`: the broadcast topic it listens on. `max_ahead_s`: how far ahead an
    envelope may expire, None for the general limit.
    """

    path: str
    request: type[Message]
    response: type[Message]
    handler: Callable[[Call, Any], Message]
    changes: bool = False
    topic: str = ""
    max_ahead_s: float | None = None
    tags: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        """The first paragraph of the handler's docstring, on one line."""
        return " ".join((self.handler.__doc__ or "").strip().split("\n\n")[0].split())

    @property
    def public(self) -> bool:
        """Whether everybody who may talk to the node may call it."""
        return self.path.startswith(("/public/", "/broadcast/"))


@dataclass
class Registry:
    """All behaviors by exact path; paths are unique."""

    entries: dict[str, Behavior] = field(default_factory=dict)

    def add(self, entry: Behavior) -> None:
        """Add `entry`; ValueError when its path is taken or its handler says nothing about itself."""
        if entry.path in self.entries:
            raise ValueError(f"behavior {entry.path} is declared twice")
        if not entry.doc:
            raise ValueError(f"behavior {entry.path}: its handler has no docstring")
        self.entries[entry.path] = entry

    def get(self, path: str) -> Behavior | None:
        """Return the behavior of exactly this path."""
        return self.entries.get(path)

    def __iter__(self) -> Iterator[Behavior]:
        return iter(sorted(self.entries.values(), key=lambda entry: entry.path))


REGISTRY = Registry()


def behavior(
    path: str,
    *,
    request: type[Request],
    response: type[Response],
    changes: bool = False,
    topic: str = "",
    max_ahead_s: float | None = None,
) -> Callable[[Callable[[Call, Request], Response]], Callable[[Call, Request], Response]]:
    """Declare the decorated function as the handler of `path`."""

    def declare(handler: Callable[[Call, Request], Response]) -> Callable[[Call, Request], Response]:
        REGISTRY.add(
            Behavior(
                path=path,
                request=request,
                response=response,
                handler=handler,
                changes=changes,
                topic=topic,
                max_ahead_s=max_ahead_s,
                tags=(path.strip("/").split("/")[-2],),
            )
        )
        return handler

    return declare

"""Bounds the body of a request before anything reads it: Django's ASGI handler would store it whole."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Django, uvicorn and Channels each describe an ASGI application in types of their own.
Application = Callable[[Any, Any, Any], Awaitable[None]]


class TooLarge(Exception):
    """The body has grown beyond the bound."""


class BodyLimit:
    """ASGI middleware: answers 413 with the reason as soon as the body is known to be too large."""

    def __init__(self, application: Application, most: int = NUMBERS.request_max_bytes) -> None:
        self._application = application
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._most:
            await self._refuse(send, int(declared))
            return
        seen = 0
        started = False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise TooLarge
            return message

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._application(scope, counted, watched)
        except TooLarge:
            if not started:
                await self._refuse(send, seen)

    async def _refuse(self, send: Send, size: int) -> None:
        refusal = Refusal(
            "request_too_large",
            f"the body has {size} bytes or more, at most {self._most} are read",
            status=413,
            hint="send less at once",
        )
        headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(refusal.problem()).encode()})

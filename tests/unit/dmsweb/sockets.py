"""A WebSocket client that talks to the ASGI application in this process.

The client that Channels ships can only be imported where its own server is installed.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlsplit

from asgiref.testing import ApplicationCommunicator

PATIENCE_S = 10.0


class Socket(ApplicationCommunicator):
    """One connection to `path` of `application`."""

    def __init__(self, application: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        parts = urlsplit(path)
        scope = {
            "type": "websocket",
            "path": unquote(parts.path),
            "query_string": parts.query.encode(),
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> bool:
        """Say whether the application accepted the handshake."""
        await self.send_input({"type": "websocket.connect"})
        return bool((await self.receive_output(PATIENCE_S))["type"] == "websocket.accept")

    async def send(self, content: Any) -> None:
        """Send a JSON document."""
        await self.send_input({"type": "websocket.receive", "text": json.dumps(content)})

    async def receive(self) -> Any:
        """Return the next JSON document."""
        message = await self.receive_output(PATIENCE_S)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def disconnect(self) -> None:
        """Close the connection and wait for the application to have noticed."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(PATIENCE_S)

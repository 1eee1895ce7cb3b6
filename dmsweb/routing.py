"""WebSocket routes."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path, re_path

from dmsweb.pages.consumers import LiveConsumer
from dmsweb.pages.logs import LogConsumer
from dmsweb.pages.terminal import TerminalConsumer


class NothingHere(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Refuses the handshake on any other address."""

    async def connect(self) -> None:
        """Refuse."""
        await self.close()


websocket_urlpatterns: list[Any] = [
    path("ws/live/", LiveConsumer.as_asgi()),
    path("ws/logs/<path:allocation>/", LogConsumer.as_asgi()),
    path("ws/exec/<str:ticket>/", TerminalConsumer.as_asgi()),
    re_path(r"", NothingHere.as_asgi()),
]

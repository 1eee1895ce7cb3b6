"""WebSocket routes."""

from __future__ import annotations

from typing import Any

from django.urls import path

from dmsweb.pages.consumers import LiveConsumer
from dmsweb.pages.logs import LogConsumer

websocket_urlpatterns: list[Any] = [
    path("ws/live/", LiveConsumer.as_asgi()),
    path("ws/logs/<path:allocation>/", LogConsumer.as_asgi()),
]

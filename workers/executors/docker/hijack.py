"""A connection to the engine that becomes a plain stream of bytes both ways, as an exec's start does.

The SDK reads the head of the answer through a buffer and hands out the socket below it: output that came along
with the head is lost. So the few lines of HTTP are spoken here, on a connection that is nobody else's.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from capabilities.numbers import NUMBERS
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker.engine import Engine, unreachable

HEAD_MAX_BYTES = 65_536
UPGRADED = (101, 200)  # 200: an engine, or a proxy before it, that does not know the upgrade


def hijacked(engine: Engine, path: str, body: Mapping[str, Any]) -> tuple[socket.socket, bytes]:
    """Post `body` to `path`; return the connection as a stream, and what of it was read already."""
    client = engine.client()
    content = json.dumps(body).encode()
    head = (
        f"POST /v{client.api_version}{path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\n"
        f"Upgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    try:
        connection = _connect(engine.address)
    except OSError as error:
        raise unreachable(f"connecting to the engine: {error}") from error
    try:
        connection.sendall(head.encode() + content)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(4096)
            if not chunk or len(received) > HEAD_MAX_BYTES:
                raise unreachable("the engine closed the connection instead of answering")
            received += chunk
        answer, _, rest = received.partition(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        if status not in UPGRADED:
            raise ExecutorError(
                Cause.START_FAILED, _refusal(connection, rest) or f"the engine answered {status}"
            )
        connection.settimeout(None)
        return connection, rest
    except (OSError, ValueError, IndexError) as error:
        connection.close()
        raise unreachable(f"the engine's answer: {error}") from error
    except ExecutorError:
        connection.close()
        raise


def _connect(address: str) -> socket.socket:
    timeout_s = NUMBERS.docker_timeout_s
    if address.startswith("unix://"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_s)
        try:
            connection.connect(address.removeprefix("unix://"))
        except OSError:
            connection.close()
            raise
        return connection
    parts = urlsplit(address)
    tls = kwargs_from_env(dict(os.environ)).get("tls")
    if parts.scheme not in ("tcp", "http", "https") or not parts.hostname:
        raise ExecutorError(
            Cause.START_FAILED, f"no terminal over {parts.scheme}://; use a unix:// or tcp:// DOCKER_HOST"
        )
    connection = socket.create_connection((parts.hostname, parts.port or (2376 if tls else 2375)), timeout_s)
    if not isinstance(tls, TLSConfig):
        return connection
    context = ssl.create_default_context(cafile=tls.ca_cert)
    if tls.cert:
        context.load_cert_chain(*tls.cert)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=parts.hostname)


def _refusal(connection: socket.socket, begun: bytes) -> str:
    """Return the engine's sentence: the `message` of the JSON object that follows the head."""
    connection.settimeout(1.0)
    try:
        while b"}" not in begun and (chunk := connection.recv(4096)):
            begun += chunk
    except OSError:
        pass
    start, end = begun.find(b"{"), begun.rfind(b"}")
    try:
        return str(json.loads(begun[start : end + 1]).get("message", ""))
    except ValueError:
        return ""

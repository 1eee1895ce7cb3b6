"""The carrying of an exec session on this side: raw terminal, window size, signals, pipes, the WebSocket.

One event loop sends and receives; a thread of its own reads the input, because a file or an idle terminal can be
waited for in no other way. Input is sent only as far as the site has taken what came before: a command that reads
nothing holds the reader up, and Ctrl-C is heard meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Origin

from capabilities.refusal import Refusal
from dmsweb.cli.client import CONNECT_TIMEOUT_S, Answered, Client
from dmsweb.cli.session import Session

CHUNK_BYTES = 32_768
AGAIN_S = 2.0
FIRST_WINDOW_BYTES = 65_536
INTERRUPTED, BROKEN_PIPE = 130, 141


def carry(session: Session, path: str, has_tty: bool) -> int:
    """Carry the session whose ticket is in `path` to its end; return the exit code. Raises Refusal."""
    raw = has_tty and sys.stdin.isatty()
    with _raw(sys.stdin.fileno()) if raw else contextlib.nullcontext():
        carrier = Carrier(session, has_tty)
        try:
            code = asyncio.run(carrier.run(path))
        except (InvalidHandshake, InvalidURI, OSError, TimeoutError) as fault:
            raise Refusal(
                "connection_lost",
                f"the terminal's connection to {session.client.url} failed: {fault}",
                hint="a proxy in between must pass WebSockets below /ws/",
            ) from None
    if carrier.reason:
        session.output.log(f"dms: {carrier.reason.replace('_', ' ')}")
    return code


@contextlib.contextmanager
def _raw(handle: int) -> Iterator[None]:
    """Hand every key on as it is; the terminal is put back whatever happens."""
    before = termios.tcgetattr(handle)
    try:
        tty.setraw(handle, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


class Carrier:
    """One session."""

    def __init__(self, session: Session, has_tty: bool) -> None:
        self.session = session
        self.tty = has_tty
        self.stream = "stdout"
        self.window = FIRST_WINDOW_BYTES
        self.on_the_way = 0
        self.taken = threading.Condition()
        self.over = False
        self.left: int | None = None
        self.interrupted_at = 0.0
        self.reason = ""

    async def run(self, path: str) -> int:
        """Connect and carry; return the exit code."""
        self.loop = asyncio.get_running_loop()
        async with _connection(self.session.client, path) as socket:
            self.socket = socket
            self._handle_signals()
            threading.Thread(target=self._read_input, name="input", daemon=True).start()
            try:
                return await self._receive()
            finally:
                with self.taken:
                    self.over = True
                    self.taken.notify_all()

    async def _receive(self) -> int:
        try:
            async for message in self.socket:
                if isinstance(message, bytes):
                    # Off the loop: a slow reader of ours must hold the command up, not the signals.
                    await asyncio.to_thread(self._write, message)
                    continue
                document = json.loads(message)
                if "exit" in document:
                    return self._ended(document)
                self._heard(document)
        except ConnectionClosed:
            pass
        except BrokenPipeError:
            self.left = BROKEN_PIPE  # our reader has gone, as in `| head`
        if self.left is not None:
            return self.left
        raise Refusal(
            "connection_lost", "the connection was lost before the command ended", hint="./dms status"
        )

    def _heard(self, document: dict[str, Any]) -> None:
        if "error" in document:
            problem = document["error"]
            raise Answered(problem, int(problem.get("status", 500)))
        if "stream" in document:
            self.stream = str(document["stream"])
        elif "started" in document:
            self._allow(int(document["started"].get("window", self.window)), 0)
        elif "taken" in document:
            self._allow(self.window, int(document["taken"]))

    def _allow(self, window: int, taken: int) -> None:
        with self.taken:
            self.window = window
            self.on_the_way -= taken
            self.taken.notify_all()

    def _ended(self, document: dict[str, Any]) -> int:
        code, reason = int(document["exit"]), str(document.get("reason") or "")
        if self.session.json:
            self.session.output.json_line({"exit_code": code, "reason": reason})
        else:
            self.reason = reason
        return code

    def _write(self, data: bytes) -> None:
        if self.session.json:
            self.session.output.json_line({"stream": self.stream, "text": data.decode("utf-8", "replace")})
            return
        handle = 2 if self.stream == "stderr" else 1
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]

    def _read_input(self) -> None:
        """Send what comes in, chunk by chunk, as far as the site takes it; then say that it is over."""
        handle = 0
        try:
            while chunk := os.read(handle, CHUNK_BYTES):
                with self.taken:
                    while self.on_the_way + len(chunk) > self.window and not self.over:
                        self.taken.wait()
                    if self.over:
                        return
                    self.on_the_way += len(chunk)
                asyncio.run_coroutine_threadsafe(self.socket.send(chunk), self.loop).result()
        except OSError:
            pass  # a closed input is an empty one
        except Exception:  # noqa: BLE001 - the connection has ended: the receiver says so
            return
        if not self.over and not self.loop.is_closed():
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._say({"eof": True}), self.loop).result()

    async def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(json.dumps(message))

    def _handle_signals(self) -> None:
        add = self.loop.add_signal_handler
        self.tasks: set[asyncio.Task[None]] = set()
        if self.tty:
            add(signal.SIGWINCH, lambda: self._later(self._resized()))
        add(signal.SIGINT, lambda: self._later(self._interrupted()))
        for number in (signal.SIGTERM, signal.SIGHUP):
            add(number, lambda code=128 + number: self._later(self._leave(code)))  # type: ignore[misc]

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _resized(self) -> None:
        from dmsweb.cli.execute import _window

        await self._say({"resize": list(_window())})

    async def _interrupted(self) -> None:
        """Hand Ctrl-C on; a second one within two seconds leaves."""
        now = time.monotonic()
        if now - self.interrupted_at < AGAIN_S:
            await self._leave(INTERRUPTED)
            return
        self.interrupted_at = now
        await self._say({"signal": "INT"})

    async def _leave(self, code: int) -> None:
        self.left = code
        await self.socket.close()


def _connection(client: Client, path: str) -> connect:
    """Return the WebSocket to `path` of the client's site, as whom the client's token stands for."""
    parts = urlsplit(client.url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    headers = {"Authorization": f"Bearer {client.token}"}
    if client.local:
        headers["X-Forwarded-Proto"] = "https"
    return connect(
        f"{scheme}://{parts.netloc}{parts.path}{path}",
        origin=Origin(f"{parts.scheme}://{parts.netloc}"),
        additional_headers=headers,
        user_agent_header="dms-cli",
        compression=None,
        max_size=None,
        max_queue=4,
        open_timeout=CONNECT_TIMEOUT_S * 2,
        proxy=None if client.local else True,
    )

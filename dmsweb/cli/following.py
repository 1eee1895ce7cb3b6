"""One stream of an allocation's log, passed on as it is written; what a broken reading missed is read at the end."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from capabilities.refusal import Refusal
from dmsweb.cli.client import Client

if TYPE_CHECKING:
    from dmsweb.cli.session import Session

# After the end the stream closes by itself; a proxy that holds it open must not hold the command.
DRAIN_S = 10.0


class Follower:
    """Follows `stream` of an allocation in a thread with a connection of its own; `chunks` under --json."""

    def __init__(self, session: Session, allocation: str, stream: str, lock: threading.Lock) -> None:
        self.stream = stream
        self.chunks: list[bytes] = []
        self._session = session
        self._path = f"/allocations/{allocation}/logs/"
        self._client = Client.to(session.home, session.url, session.token)
        self._lock = lock
        self._passed = 0
        self._whole = False
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"log-{stream}", daemon=True)

    def start(self) -> None:
        """Begin to follow; what is not started yet is waited for."""
        self._thread.start()

    def finish(self) -> None:
        """Wait until everything has been passed on; call it once the allocation has ended."""
        self._thread.join(DRAIN_S)
        self._leaving.set()
        if not self._whole:
            self._rest()

    def _read(self) -> None:
        try:
            for chunk in self._client.stream(self._path, stream=self.stream, follow="1"):
                if self._leaving.is_set():
                    return
                self._pass_on(chunk)
            self._whole = True
        except (Refusal, OSError):
            # Too many followers, or a restart of the site: `finish` reads the rest.
            return

    def _rest(self) -> None:
        skip = self._passed
        for chunk in self._client.stream(self._path, stream=self.stream):
            if skip < len(chunk):
                self._pass_on(chunk[skip:])
            skip = max(0, skip - len(chunk))

    def _pass_on(self, chunk: bytes) -> None:
        with self._lock:
            self._passed += len(chunk)
            if self._session.json:
                self.chunks.append(chunk)
                return
            target = (sys.stdout if self.stream == "stdout" else sys.stderr).buffer
            target.write(chunk)
            target.flush()

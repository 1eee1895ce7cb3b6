"""Readiness of the web process: a question to /readyz waits in the listening socket until it is answered."""

from __future__ import annotations

import contextlib
import socket

REQUEST = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PATIENCE_S = 10.0


class Question:
    """One pending question at a time; never blocks."""

    def __init__(self, address: str, port: int) -> None:
        self._address = (address, port)
        self._link: socket.socket | None = None
        self._asked_at = 0.0

    def answered(self, now: float) -> bool:
        """Ask when nothing is pending; True once the answer was 200."""
        if self._link is None or now - self._asked_at > PATIENCE_S:
            self._ask(now)
        if self._link is None:
            return False
        try:
            head = self._link.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            head = b""
        self.close()
        return head[:12].endswith(b" 200")

    def close(self) -> None:
        """Forget a pending question."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _ask(self, now: float) -> None:
        self.close()
        self._asked_at = now
        link = socket.socket(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET)
        link.settimeout(1)
        with contextlib.suppress(OSError):
            link.connect(self._address)  # our own listener: answered by the kernel
            link.sendall(REQUEST)
            link.setblocking(False)
            self._link = link
            return
        link.close()

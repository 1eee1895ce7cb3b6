"""A program on a pseudo terminal, as a person's shell would start it: type, read, resize, wait for its end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

PATIENCE_S = 60.0


class Pseudo:
    """One program, and everything it has written so far."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], *, rows: int = 24, columns: int = 80
    ) -> None:
        self.written = b""
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            try:
                # Wait for the size: a program asks for it as soon as it runs.
                os.read(0, 1)
                os.execvpe(argv[0], list(argv), dict(environment))  # noqa: S606
            finally:
                os._exit(126)
        self.resize(rows, columns)
        os.write(self.handle, b"\n")

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size; the program is told by the kernel."""
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type `text`."""
        os.write(self.handle, text.encode())

    def until(self, text: str) -> str:
        """Read until `text` has been written; return everything since the last call."""
        wanted = text.encode()
        limit = time.monotonic() + PATIENCE_S
        while wanted not in self.written:
            assert time.monotonic() < limit, f"no {text!r} in {self.written!r}"
            assert self._read(1.0) is not None, f"it ended without {text!r}: {self.written!r}"
        before, found, self.written = self.written.partition(wanted)
        return (before + found).decode(errors="replace")

    def _read(self, wait_s: float) -> bytes | None:
        if not select.select([self.handle], [], [], wait_s)[0]:
            return b""
        try:
            chunk = os.read(self.handle, 65_536)
        except OSError:
            return None
        self.written += chunk
        return chunk or None

    def raw(self) -> bool:
        """Say whether the program has taken the terminal's line editing away."""
        return not termios.tcgetattr(self.handle)[3] & termios.ICANON

    def ended(self) -> int:
        """Return the exit code (128 + signal) once the program has ended."""
        limit = time.monotonic() + PATIENCE_S
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.pid = 0
                return code if code >= 0 else 128 - code
            assert time.monotonic() < limit, f"it does not end: {self.written!r}"
            self._read(0.1)

    def close(self) -> None:
        """Let go of it, and end it when it still runs."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.handle)

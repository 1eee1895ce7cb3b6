"""Run a command inside an execution without anybody at it: its exit code and output, bounded in time and size."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from deployments.outside import Terminal
from workers.executors.base import ExecutorError


class TookTooLong(Exception):
    """The command did not end in time and was ended; `output` is what it had written."""

    def __init__(self, output: bytes) -> None:
        super().__init__("the command did not end in time")
        self.output = output


def finish(terminal: Terminal, *, timeout_s: float, max_bytes: int) -> tuple[int, bytes]:
    """Return exit code and output of a command that has just been begun; TookTooLong after `timeout_s`.

    Both streams together, the first `max_bytes`; what comes after is read and dropped, so that the command is not
    held up by a full pipe. Whatever happens, nothing of the command's session is left.
    """
    deadline = time.monotonic() + timeout_s
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(ExecutorError):  # said by the command that outlives it
            terminal.close()

    watchdog = threading.Timer(timeout_s, end)
    watchdog.daemon = True
    watchdog.start()
    output = bytearray()
    try:
        terminal.close_input()
        while (piece := terminal.read()) is not None:
            output += piece[1][: max_bytes - len(output)]
            if time.monotonic() > deadline:
                break
        if late.is_set() or time.monotonic() > deadline:
            raise TookTooLong(bytes(output))
        code = terminal.wait()
        if late.is_set():
            raise TookTooLong(bytes(output))
        return code, bytes(output)
    finally:
        watchdog.cancel()
        terminal.close()
        if late.is_set():
            watchdog.join()

"""Ports to the outside that this room needs and `workers` provides (`workers.apps` registers them at start)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from deployments.logquery import LogQuery


class LogSource(Protocol):
    """Reads the log of an allocation, live from its executor or from what was kept at the end of an attempt."""

    def read(
        self, allocation_id: str, query: LogQuery, *, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[bytes]:
        """Yield chunks of text; with `follow` until the end or until `stopped()`.

        Refusal `not_found` for an attempt without a log, raised at once.
        """

    def attempts(self, allocation_id: str) -> list[int]:
        """Return the attempts whose logs can be read, oldest first."""

    def write(self, allocation_id: str) -> str:
        """Write stdout.log and stderr.log below DMS_HOME and return the folder that holds them."""


class Terminal(Protocol):
    """A command that runs inside an allocation, with its input and output. Every call may block: use a thread.

    Without a TTY the two outputs are apart; with one everything is stdout. `close` may be called by any thread, at
    any time, more than once: it wakes the others, and ends whatever the command started in its session.
    """

    handle: str

    def read(self) -> tuple[str, bytes] | None:
        """Return the stream (stdout or stderr) and its next bytes; None when there will be no more."""

    def write(self, data: bytes) -> None:
        """Hand all of `data` to the command's input; what it no longer takes is dropped."""

    def close_input(self) -> None:
        """Say that no more input comes."""

    def resize(self, rows: int, columns: int) -> None:
        """Tell the command how large its window is."""

    def signal(self, name: str) -> None:
        """Send a signal (INT, TERM, HUP, QUIT, KILL) to the command and what belongs to it."""

    def wait(self) -> int:
        """Return the command's exit code (128 + signal when it was killed) once `read` has returned None."""

    def close(self) -> None:
        """End it and everything in its session, and let go of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run inside an allocation. Without `argv` it is a shell: bash, else sh."""

    argv: tuple[str, ...] = ()
    tty: bool = False
    rows: int = 24
    columns: int = 80
    term: str = "xterm-256color"
    user: str = ""


class Unopened(Exception):
    """A terminal could not be opened. `code` is a word for machines, the text a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class TerminalSource(Protocol):
    """Runs commands inside running allocations, wherever those are."""

    def open(self, allocation_id: str, command: Command) -> Terminal:
        """Run `command` inside the allocation's present execution; `Unopened` says why that cannot be."""

    def runs(self, allocation_id: str) -> bool:
        """Say whether the allocation's present execution runs."""

    def end(self, allocation_id: str, handle: str) -> None:
        """End what a terminal left behind whose process has died; harmless when nothing is left."""


@dataclass
class Outside:
    """Where the provided ports are kept."""

    logs: LogSource | None = None
    # From executor, node's DID and execution id to what the engine calls the container.
    container_name: Callable[[str, str, str], str] | None = None
    terminals: TerminalSource | None = None


OUTSIDE = Outside()

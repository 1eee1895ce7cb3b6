"""A command inside a container: the engine's exec over a connection of its own.

The engine leaves an exec'd process alone when its connection ends, so that it is ended here: from the host, where
this process may signal it, else by a small script inside the container.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from deployments.outside import Command
from workers.executors import sessions, shell
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker.engine import Engine
from workers.executors.docker.hijack import hijacked
from workers.executors.docker.streams import frames

CHUNK_BYTES = 65_536
STREAMS = {1: "stdout", 2: "stderr"}
END_S = 5.0
PAUSE_S = 0.02
CONSOLE_SIZE_API = (1, 42)  # from here on an exec's start takes the size itself
LOST_CODE = 137
NOT_RUN = b"OCI runtime exec failed"
MISSING = ("not found", "no such file")
NOT_FOUND_CODE, NOT_STARTED_CODE = 127, 126
# Before that version the size comes after the start, which is too late for a command that asks at once.
SIZED = 'stty rows "$1" cols "$2" 2>/dev/null; shift 2; exec "$@"'
# Signals everything that carries the mark: $1 the mark, $2 the signal.
INSIDE = r"""
for folder in /proc/[0-9]*; do
  tr '\0' '\n' 2>/dev/null < "$folder/environ" | grep -qxF "$1" && kill -s "$2" "${folder#/proc/}" 2>/dev/null
done
exit 0
"""


class DockerTerminal:
    """One exec; implements `deployments.outside.Terminal`.

    `lines` are tried in turn: a line whose program the container lacks is followed by the next one. `handle` holds
    what finds the command again: its mark, and the user it runs as.
    """

    def __init__(
        self,
        engine: Engine,
        container: str,
        command: Command,
        lines: list[list[str]],
        document: Mapping[str, Any],
    ) -> None:
        config = document.get("Config") or {}
        self._engine = engine
        self._container = container
        self._command = command
        self._lines = lines
        self._user = command.user or str(config.get("User") or "")
        self._mark = secrets.token_hex(12)
        self.handle = f"{self._mark}:{self._user}"
        present = [str(item).partition("=")[0] for item in config.get("Env") or ()]
        self._environment = shell.additions(command, present, self._mark)
        self._window = (command.rows, command.columns)
        self._not_run = ""
        self._closed = False
        self._start()

    def _start(self) -> None:
        """Start the first of the lines that are left."""
        command = self._command
        with self._engine.errors("preparing the command"):
            self._exec = self._engine.client().exec_create(
                self._container,
                self._lines.pop(0),
                stdin=True,
                tty=command.tty,
                environment=self._environment,
                user=self._user,
            )["Id"]
        body: dict[str, Any] = {"Detach": False, "Tty": command.tty}
        if command.tty and takes_size(self._engine):
            body["ConsoleSize"] = list(self._window)
        self._connection, begun = hijacked(self._engine, f"/exec/{self._exec}/start", body)
        chunks = _chunks(self._connection, begun)
        self._pieces: Iterator[tuple[str, bytes]] = (
            (("stdout", chunk) for chunk in chunks)
            if command.tty
            else ((STREAMS.get(number, "stdout"), payload) for number, payload in frames(chunks))
        )
        self._first = True
        if command.tty:
            self.resize(*self._window)

    def read(self) -> tuple[str, bytes] | None:
        """Return the next piece of output, None after the last."""
        piece = next(self._pieces, None)
        if self._first and piece is not None and piece[1].startswith(NOT_RUN):
            # The engine puts its own words where the command's output would be.
            if self._lines:
                self._connection.close()
                self._start()
                return self.read()
            self._not_run = piece[1].decode(errors="replace")
            piece = ("stderr", piece[1])
        self._first = False
        return piece

    def write(self, data: bytes) -> None:
        """Send input; what a command that has ended does not take is dropped."""
        with suppress(OSError):
            self._connection.sendall(data)

    def close_input(self) -> None:
        """Close the command's input; a terminal is told that with its own end-of-file character.

        Over TLS it is not possible without closing everything.
        """
        if self._command.tty:
            self.write(b"\x04")
            return
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the engine the size; harmless when the command has ended."""
        self._window = (rows, columns)
        with suppress(APIError), self._engine.errors("resizing the terminal", kept=(APIError,)):
            self._engine.client().exec_resize(self._exec, height=rows, width=columns)

    def signal(self, name: str) -> None:
        """Signal everything in the command's session."""
        number = sessions.signal_of(name)
        if not self._on_host(lambda leader: sessions.send(leader, number)):
            self._inside(name)

    def wait(self) -> int:
        """Return the exit code; ExecutorError when the connection broke while the command runs on."""
        deadline = time.monotonic() + END_S
        while True:
            state = self._inspected()
            if state is None:
                return LOST_CODE
            if not state.get("Running") and state.get("ExitCode") is not None:
                if self._not_run:
                    return (
                        NOT_FOUND_CODE if any(word in self._not_run for word in MISSING) else NOT_STARTED_CODE
                    )
                return int(state["ExitCode"])
            if time.monotonic() > deadline:
                raise ExecutorError(Cause.ENGINE_UNREACHABLE, "the connection to the command was lost")
            time.sleep(PAUSE_S)

    def close(self) -> None:
        """End what runs in the session, then the connection."""
        if self._closed:
            return
        self._closed = True
        try:
            self._end()
        finally:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()

    def _end(self) -> None:
        state = self._inspected()
        if state is None or not state.get("Running"):
            return
        if self._on_host(sessions.end):
            return
        self._inside("HUP")
        deadline = time.monotonic() + sessions.HANG_UP_S
        while (state := self._inspected()) and state.get("Running") and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        self._inside("KILL")

    def _inspected(self) -> dict[str, Any] | None:
        with self._engine.errors("looking at the command", Cause.ENGINE_UNREACHABLE, kept=(NotFound,)):
            try:
                state: dict[str, Any] = self._engine.client().exec_inspect(self._exec)
            except NotFound:
                return None
        return state

    def _on_host(self, act: Callable[[int], bool]) -> bool:
        """Do `act` with the command's process; False when that is not visible or not ours to signal."""
        leader = int((self._inspected() or {}).get("Pid") or 0)
        if leader <= 1 or not _is_in(leader, self._container):
            return False
        try:
            act(leader)
        except PermissionError:
            return False
        return True

    def _inside(self, name: str) -> None:
        signal_marked(self._engine, self._container, f"{shell.MARK}={self._mark}", name, self._user)


def opened(engine: Engine, document: Mapping[str, Any], command: Command) -> DockerTerminal:
    """Run `command` in the container of `document`; ExecutorError in the engine's words when it cannot be."""
    lines = [shell.argv_of(command)]
    if command.tty and not takes_size(engine):
        lines.insert(0, ["/bin/sh", "-c", SIZED, "sh", str(command.rows), str(command.columns), *lines[0]])
    return DockerTerminal(engine, str(document["Id"]), command, lines, document)


def ended(engine: Engine, document: Mapping[str, Any], handle: str) -> None:
    """Kill what a terminal left in the container whose process here has died."""
    mark, _, user = handle.partition(":")
    if mark:
        signal_marked(engine, str(document["Id"]), f"{shell.MARK}={mark}", "KILL", user)


def signal_marked(engine: Engine, container: str, mark: str, name: str, user: str) -> None:
    """Signal every process in the container whose environment holds `mark`, by a script inside it."""
    with engine.errors("ending the command", Cause.ENGINE_UNREACHABLE, kept=(APIError,)), suppress(APIError):
        made = engine.client().exec_create(
            container, ["/bin/sh", "-c", INSIDE, "sh", mark, name], user=user, stdout=False, stderr=False
        )
        engine.client().exec_start(made["Id"])


def takes_size(engine: Engine) -> bool:
    """Say whether the engine sets a terminal's size before the command runs."""
    version = str(engine.client().api_version)
    return tuple(int(part) for part in version.split(".")[:2]) >= CONSOLE_SIZE_API


def _chunks(connection: socket.socket, begun: bytes) -> Iterator[bytes]:
    if begun:
        yield begun
    with suppress(OSError):
        while chunk := connection.recv(CHUNK_BYTES):
            yield chunk


def _is_in(pid: int, container: str) -> bool:
    """Say whether the process of that number on this host is one of the container: the engine may be elsewhere."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False

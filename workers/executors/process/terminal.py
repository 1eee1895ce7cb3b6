"""A command inside a sandbox: a helper goes in (see `joiner`), the input and output stay here."""

from __future__ import annotations

import array
import fcntl
import json
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from deployments.outside import Command
from workers.executors import sessions, shell
from workers.executors.base import Cause, ExecutorError
from workers.executors.process import joiner
from workers.executors.process.sandbox import INNER_ID

CHUNK_BYTES = 65_536
READY_S = 10.0
END_S = joiner.END_S + 2.0
DRAIN_MS = 100  # after the command's end: what its children hold open is not waited for


def environment_inside(argv: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the workload's environment and working directory, out of the sandbox's command line. Pure."""
    words = list(argv)
    try:
        start = words.index("-i", words.index("/usr/bin/env")) + 1
        stop = words.index("/bin/sh", start)
    except ValueError:
        return {}, "/"
    pairs = dict(word.partition("=")[::2] for word in words[start:stop])
    return pairs, words[stop + 4] if len(words) > stop + 4 else "/"


class ProcessTerminal:
    """One command in a sandbox; implements `deployments.outside.Terminal`."""

    def __init__(self, request: Mapping[str, Any], first: int, command: Command) -> None:
        if command.user not in ("", "nobody", str(INNER_ID)):
            detail = "a sandboxed process runs as nobody: leave the user out"
            raise ExecutorError(Cause.START_FAILED, detail)
        self.handle = secrets.token_hex(12)
        self._lock = threading.Lock()
        self._closed = False
        self._wake, self._woken = os.pipe()
        self._tty = command.tty
        ours, theirs = socket.socketpair()
        pipe = subprocess.DEVNULL if command.tty else subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", joiner.__file__, str(theirs.fileno())],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            pass_fds=[theirs.fileno()],
            env={"LC_ALL": "C"},
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        self._control = ours
        self._streams: dict[int, str] = {}
        self._input: int | None = None
        try:
            self._begin(request, first, command)
        except ExecutorError:
            self.close()
            raise

    def _begin(self, request: Mapping[str, Any], first: int, command: Command) -> None:
        environment, directory = environment_inside(request["argv"])
        document = {
            "pid": first,
            "join": request["join"],
            "cpus": request["cpus"],
            "disk_bytes": request["limits"]["disk_bytes"],
            "argv": shell.argv_of(command),
            "environment": environment | shell.additions(command, environment, self.handle),
            "directory": directory,
            "tty": command.tty,
            "rows": command.rows,
            "columns": command.columns,
        }
        self._control.settimeout(READY_S)
        try:
            self._control.sendall(json.dumps(document).encode() + b"\n")
            answer, handles = _answer(self._control)
        except OSError as error:
            raise ExecutorError(Cause.START_FAILED, f"going into the sandbox: {error}") from error
        self._control.settimeout(None)
        if not answer.get("ready"):
            why = answer.get("error", "the helper ended")
            raise ExecutorError(Cause.START_FAILED, f"going into the sandbox: {why}")
        process = self._process
        if command.tty:
            self._streams = {handles[0]: "stdout"}
            self._input = os.dup(handles[0])
        elif process.stdout and process.stderr and process.stdin:
            self._streams = {
                os.dup(process.stdout.fileno()): "stdout",
                os.dup(process.stderr.fileno()): "stderr",
            }
            self._input = os.dup(process.stdin.fileno())
            for file in (process.stdout, process.stderr, process.stdin):
                file.close()
        for handle in (*self._streams, self._input):
            if handle is not None:
                os.set_blocking(handle, False)

    def read(self) -> tuple[str, bytes] | None:
        """Return the next piece of output, None after the last."""
        while self._streams and not self._closed:
            poll = select.poll()
            over = self._process.poll() is not None
            for handle in (*self._streams, self._wake, *(() if over else (self._control.fileno(),))):
                poll.register(handle, select.POLLIN)
            ready = {handle for handle, _ in poll.poll(DRAIN_MS if over else None)}
            if not ready & set(self._streams):
                if over:
                    return None
                if self._control.fileno() in ready:
                    with suppress(subprocess.TimeoutExpired):
                        self._process.wait(READY_S)
                continue
            for handle in ready & set(self._streams):
                try:
                    chunk = os.read(handle, CHUNK_BYTES)
                except BlockingIOError:
                    continue
                except OSError:  # EIO: nobody has the terminal's other side open any more
                    chunk = b""
                if chunk:
                    return self._streams[handle], chunk
                if not self._tty:
                    os.close(handle)
                    del self._streams[handle]
                elif over or self._closed:
                    return None
                else:
                    self._process.wait()
        return None

    def write(self, data: bytes) -> None:
        """Send input; what a command that has ended does not take is dropped."""
        left = memoryview(data)
        while left and not self._closed:
            with self._lock:
                handle = self._input
            if handle is None or self._process.poll() is not None:
                return
            try:
                left = left[os.write(handle, left) :]
            except BlockingIOError:
                poll = select.poll()
                for waited, what in ((handle, select.POLLOUT), (self._wake, select.POLLIN)):
                    poll.register(waited, what)
                poll.register(self._control, select.POLLIN)
                poll.poll()
            except OSError:
                return

    def close_input(self) -> None:
        """Close the command's input; a terminal is told that with its own end-of-file character."""
        if self._tty:
            self.write(b"\x04")
            return
        with self._lock:
            handle, self._input = self._input, None
        if handle is not None:
            os.close(handle)

    def resize(self, rows: int, columns: int) -> None:
        """Set the window's size; the kernel tells the command."""
        with self._lock, suppress(OSError):
            if self._tty and self._input is not None:
                fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, name: str) -> None:
        """Signal everything in the command's session."""
        number = sessions.signal_of(name)
        with suppress(OSError):
            self._control.sendall(json.dumps({"signal": int(number)}).encode() + b"\n")

    def wait(self) -> int:
        """Return the exit code."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """Let go of it: the helper then ends the session."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        os.write(self._woken, b"x")
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        with self._lock:
            handles = [*self._streams, *([] if self._input is None else [self._input])]
            self._streams, self._input = {}, None
        for handle in (*handles, self._wake, self._woken):
            os.close(handle)
        self._control.close()


def _answer(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the helper's one line, and the descriptors that came with it."""
    received, handles = b"", array.array("i")
    while not received.endswith(b"\n"):
        chunk, passed, _, _ = socket.recv_fds(control, 65_536, 4)
        handles.extend(passed)
        if not chunk:
            break
        received += chunk
    answer = json.loads(received) if received else {}
    return (answer if isinstance(answer, dict) else {}), list(handles)

"""Reads the bounded logs that a shim keeps: a tail of lines, then what is added until the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 65_536


class Stream:
    """One stream, read across the moments when its file becomes `<name>.1` and a new one begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle: int | None = None

    def start(self, tail: int | None) -> Iterator[bytes]:
        """Yield what is there, or its last `tail` lines, and stay at the end."""
        older = self.path.with_name(f"{self.path.name}.1")
        if tail is None:
            if older.exists():
                yield from _whole(older)
            yield from self.more()
            return
        if not self._open():
            return
        assert self.handle is not None
        size = os.fstat(self.handle).st_size
        lines = last_lines(self.handle, size, tail)
        missing = tail - lines.count(b"\n") - (not lines.endswith(b"\n") and lines != b"")
        if len(lines) == size and tail > 0 and older.exists():
            with older.open("rb") as file:
                end = os.fstat(file.fileno()).st_size
                # A line that the change of files cut in two is one line: its first half comes along.
                cut = size > 0 and not last_lines(file.fileno(), end, 1).endswith(b"\n")
                yield last_lines(file.fileno(), end, missing + cut)
        os.lseek(self.handle, size, os.SEEK_SET)
        yield lines

    def more(self) -> Iterator[bytes]:
        """Yield what was added since."""
        while self._open():
            assert self.handle is not None
            while chunk := os.read(self.handle, CHUNK_BYTES):
                yield chunk
            if not self._replaced():
                return
            self.close()

    def close(self) -> None:
        """Give the file back."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def _open(self) -> bool:
        if self.handle is None:
            try:
                self.handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def _replaced(self) -> bool:
        assert self.handle is not None
        try:
            return self.path.stat().st_ino != os.fstat(self.handle).st_ino
        except FileNotFoundError:
            return False


def last_lines(handle: int, end: int, count: int) -> bytes:
    """Return the last `count` lines of the first `end` bytes of a file, reading only what they need."""
    if count <= 0:
        return b""
    text = b""
    while end and text.rstrip(b"\n").count(b"\n") < count:
        size = min(CHUNK_BYTES, end)
        end -= size
        text = os.pread(handle, size, end) + text
    # Only a newline ends a line: a progress bar's carriage returns do not.
    tail = b"\n" if text.endswith(b"\n") else b""
    return b"\n".join(text.removesuffix(b"\n").split(b"\n")[-count:]) + tail


def follow(
    streams: list[Stream],
    *,
    ended: Callable[[], bool],
    pause: Callable[[], object],
    stopped: Callable[[], bool],
) -> Iterator[bytes]:
    """Yield what the streams gain until the execution has ended or `stopped()`; `pause` waits in between."""
    while not stopped():
        over = ended()
        gained = False
        for stream in streams:
            for chunk in stream.more():
                gained = True
                yield chunk
        if over:
            return
        if not gained:
            pause()


def _whole(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk

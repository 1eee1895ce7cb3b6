"""Reads logs in files, as the shim and the keeping write them: the text, and beside it when what was written.

Each stream is `<name>.log`, older text in `<name>.log.1`; the marks are described at `shim.Log`. Logs without marks
(of earlier releases) are read all the same, with times unknown.
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from deployments.logtext import NUMBERS_OF, Piece, notice
from workers.executors.process.shim import times_of

CHUNK_BYTES = 65_536
NAMES = {1: "stdout", 2: "stderr"}


class Part:
    """One open file of a stream with its marks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.inode = os.fstat(self.handle).st_ino
        self.limit: int | None = None
        self.before = 0
        self.offsets: array[int] = array("Q")
        self.times: array[int] = array("Q")
        self._times = -1
        self._read = 0
        self._rest = b""
        with contextlib.suppress(OSError):
            self._times = os.open(times_of(str(path)), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.more_marks()

    @property
    def size(self) -> int:
        """How long the file is now, as far as it may be read."""
        size = os.fstat(self.handle).st_size
        return size if self.limit is None else min(size, self.limit)

    def more_marks(self) -> None:
        """Take the marks that were made since."""
        while self._times >= 0 and (chunk := os.pread(self._times, CHUNK_BYTES, self._read)):
            self._read += len(chunk)
            chunk = self._rest + chunk
            whole = len(chunk) - len(chunk) % 16
            self._rest = chunk[whole:]
            numbers = array("Q", chunk[:whole])
            start = 0
            if not self.offsets and len(numbers) >= 2:
                self.before, start = numbers[0], 2
                self.offsets.append(0)
                self.times.append(numbers[3] if len(numbers) >= 4 else 0)
            self.offsets.extend(numbers[start::2])
            self.times.extend(numbers[start + 1 :: 2])

    def time_at(self, offset: int) -> int:
        """Return when the byte at `offset` was written, 0 when it is not known."""
        index = bisect.bisect_right(self.offsets, offset) - 1
        return self.times[index] if index >= 0 else 0

    def slices(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield (time, bytes) from `start` to `end`, cut where a mark is."""
        index = bisect.bisect_right(self.offsets, start)
        while start < end and (chunk := os.pread(self.handle, min(CHUNK_BYTES, end - start), start)):
            begun, stop = start, start + len(chunk)
            while start < stop:
                cut = min(self.offsets[index], stop) if index < len(self.offsets) else stop
                if cut > start:
                    yield self.time_at(start), chunk[start - begun : cut - begun]
                    start = cut
                if index < len(self.offsets) and self.offsets[index] <= start:
                    index += 1

    def start_of(self, since_ns: int) -> int:
        """Return the offset of a line from which on everything written since then is found."""
        # A mark is the time of what follows it up to the next one: the stretch before may reach into it.
        index = max(bisect.bisect_left(self.times, since_ns, lo=min(1, len(self.times))) - 1, 0)
        return self.line_start(self.offsets[index]) if self.offsets else 0

    def line_start(self, offset: int) -> int:
        """Return where the line that holds `offset` begins."""
        while offset > 0:
            step = min(CHUNK_BYTES, offset)
            found = os.pread(self.handle, step, offset - step).rfind(b"\n")
            if found >= 0:
                return offset - step + found + 1
            offset -= step
        return 0

    def last_lines(self, end: int, count: int) -> tuple[int, int]:
        """Return where the last `count` lines of the first `end` bytes begin, and how many there are."""
        position, found = end, 0
        if count <= 0 or not end:
            return end, 0
        while position > 0:
            step = min(CHUNK_BYTES, position)
            position -= step
            block = os.pread(self.handle, step, position)
            limit = len(block)
            while (index := block.rfind(b"\n", 0, limit)) >= 0:
                limit = index
                # A newline at the very end closes the last line and begins none.
                if position + index + 1 < end:
                    found += 1
                    if found == count:
                        return position + index + 1, count
        return 0, found + 1

    def ends_open(self) -> bool:
        """Say whether the last line is not ended yet."""
        size = self.size
        return size > 0 and os.pread(self.handle, 1, size - 1) != b"\n"

    def close(self) -> None:
        """Give the files back."""
        os.close(self.handle)
        if self._times >= 0:
            os.close(self._times)


def parts_of(path: Path) -> list[Part]:
    """Open what there is of one stream, oldest first; whoever asks closes them."""
    found: list[Part] = []
    for one in (path.with_name(f"{path.name}.1"), path):
        with contextlib.suppress(FileNotFoundError):
            found.append(Part(one))
    return found


def lined(slices: Iterable[tuple[int, bytes]], stream: int) -> Iterator[Piece]:
    """Yield pieces that end with a line (cut where one is longer than a chunk), each with its first byte's time."""
    at, held = 0, b""
    for time_ns, data in slices:
        if held:
            end = data.find(b"\n") + 1
            if not end:
                held += data
                if len(held) >= CHUNK_BYTES:
                    yield at, stream, held
                    held = b""
                continue
            yield at, stream, held + data[:end]
            data = data[end:]
        end = data.rfind(b"\n") + 1
        if end:
            yield time_ns, stream, data[:end]
        at, held = time_ns, data[end:]
    if held:
        yield at, stream, held


def read(
    folder: Path,
    stream: str,
    *,
    tail: int | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    ends: Mapping[int, int] | None = None,
) -> Iterator[list[Piece]]:
    """Yield what the folder's files hold, both streams merged by time.

    `ends`: how far the newest file of each stream is read, by its inode; a newer one is not read at all.
    """
    numbers = NUMBERS_OF[stream]
    streams = {number: parts_of(folder / f"{NAMES[number]}.log") for number in numbers}
    for found in streams.values():
        for part in found if ends is not None else ():
            part.limit = ends.get(part.inode, 0 if part is found[-1] else None)  # type: ignore[union-attr]
    try:
        parts = [part for found in streams.values() for part in found]
        if (since_ns or until_ns) and any(part.size and not part.offsets for part in parts):
            yield [notice("this log was kept without times: since and until do not apply to it")]
        yield from batched(_pieces(streams, tail, since_ns, until_ns))
    finally:
        for found in streams.values():
            for part in found:
                part.close()


def _pieces(
    streams: dict[int, list[Part]], tail: int | None, since_ns: int | None, until_ns: int | None
) -> Iterator[Piece]:
    sources, total = [], 0
    for number, parts in streams.items():
        starts, lines = _starts(parts, tail, since_ns)
        total += lines
        slices = chain.from_iterable(
            part.slices(start, part.size) for part, start in zip(parts, starts, strict=True)
        )
        sources.append(lined(slices, number))
    pieces: Iterator[Piece] = sources[0] if len(sources) == 1 else heapq.merge(*sources, key=lambda p: p[:2])
    if tail is not None and len(sources) > 1:
        pieces = _without_first(pieces, total - tail)
    for piece in pieces:
        if since_ns and 0 < piece[0] < since_ns:
            continue
        if until_ns and piece[0] > until_ns:
            continue
        yield piece


def _starts(parts: list[Part], tail: int | None, since_ns: int | None) -> tuple[list[int], int]:
    """Return from where each part is read, and with `tail` how many lines that are."""
    if tail is None:
        return [part.start_of(since_ns) if since_ns else 0 for part in parts], 0
    starts = [part.size for part in parts]
    missing = tail
    for index in range(len(parts) - 1, -1, -1):
        if missing <= 0:
            break
        older = parts[index - 1] if index else None
        starts[index], found = parts[index].last_lines(parts[index].size, missing)
        missing -= found
        if older is not None and missing >= 0 and starts[index] == 0 and found and older.ends_open():
            # A line that the change of files cut in two is one line: its first half comes along.
            missing += 1
    return starts, tail - max(missing, 0)


def _without_first(pieces: Iterable[Piece], lines: int) -> Iterator[Piece]:
    """Leave out the first `lines` lines."""
    for piece in pieces:
        if lines <= 0:
            yield piece
            continue
        at, stream, payload = piece
        have = payload.count(b"\n")
        if have <= lines:
            lines -= have or payload.endswith(b"\n")
            continue
        position = 0
        for _ in range(lines):
            position = payload.index(b"\n", position) + 1
        lines = 0
        yield at, stream, payload[position:]


def batched(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces in lists of about a chunk."""
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece[2]) + 64
        if size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

"""From pieces of a log to the text that is shown: times before lines, the lines that match. Pure.

A piece is (nanoseconds since the epoch, stream, bytes): stream 1 is stdout, 2 stderr, and 0 a notice of ours about
the log. It may hold many lines or a part of one; its time is that of its first byte, 0 where that is not known.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from deployments.logquery import LogQuery

Piece = tuple[int, int, bytes]
NOTICE = 0
NUMBERS_OF = {"stdout": (1,), "stderr": (2,), "both": (1, 2)}
LINE_MAX_BYTES = 65_536
SECOND_NS = 1_000_000_000


def notice(text: str) -> Piece:
    """Return a line of our own, told apart by its dots."""
    return 0, NOTICE, f"... {text}\n".encode()


def stamp(at_ns: int) -> bytes:
    """Return the time in RFC 3339 with microseconds and a blank; empty when it is not known."""
    if not at_ns:
        return b""
    whole, rest = divmod(at_ns, SECOND_NS)
    moment = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest // 1000:06d}Z ".encode()


def rendered(
    batches: Iterable[list[Piece]],
    query: LogQuery,
    *,
    matches_max: int = 10_000,
    search_max_s: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[bytes]:
    """Yield the text; a search that is not followed ends after `matches_max` lines or `search_max_s`, and says so."""
    if query.search:
        yield from Search(query, matches_max, search_max_s, clock).run(batches)
    elif query.timestamps:
        stamped = Stamped()
        for batch in batches:
            yield b"".join(map(stamped.piece, batch))
    else:
        mended = Mended()
        for batch in batches:
            yield b"".join(mended.piece(piece) for piece in batch)


def plain(batches: Iterable[list[Piece]]) -> Iterator[bytes]:
    """Yield the text as it was written."""
    for batch in batches:
        yield b"".join(payload for _, _, payload in batch)


class Mended:
    """Passes text through; a notice begins on a line of its own."""

    def __init__(self) -> None:
        self._open = False

    def piece(self, piece: Piece) -> bytes:
        """Return the piece's text."""
        _, stream, payload = piece
        if not payload:
            return payload
        before = b"\n" if stream == NOTICE and self._open else b""
        self._open = not payload.endswith(b"\n")
        return before + payload


class Stamped:
    """Puts the time before each line, once, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._open = 0
        self._any = False

    def piece(self, piece: Piece) -> bytes:
        """Return the piece with times."""
        at_ns, stream, payload = piece
        if not payload:
            return payload
        mark = stamp(at_ns)
        continued = self._any and self._open == stream
        before = b"" if continued or not self._any else b"\n"
        self._any = not payload.endswith(b"\n")
        self._open = stream
        if not mark:
            return before + payload
        body = payload[:-1] if payload.endswith(b"\n") else payload
        text = body.replace(b"\n", b"\n" + mark) + (b"\n" if payload.endswith(b"\n") else b"")
        return before + (text if continued else mark + text)


class Search:
    """Picks the lines that hold a plain text, with lines around them. Memory: the context and one line a stream."""

    def __init__(
        self, query: LogQuery, matches_max: int, search_max_s: float, clock: Callable[[], float]
    ) -> None:
        self.query = query
        self._needle = query.search.casefold() if query.ignore_case else query.search
        self._bytes = query.search.encode("utf-8", "surrogateescape")
        self._left = matches_max
        self._matches_max, self._search_max_s, self._clock = matches_max, search_max_s, clock
        self._before: deque[bytes] = deque(maxlen=query.context)
        self._skipped = 0
        self._after = 0
        self._shown_any = False
        self._parts: dict[int, bytes] = {}
        self._times: dict[int, int] = {}

    def run(self, batches: Iterable[list[Piece]]) -> Iterator[bytes]:
        """Yield matching lines, one chunk a batch."""
        begun = self._clock()
        for batch in batches:
            out: list[bytes] = []
            for piece in batch:
                self._take(piece, out)
            if out:
                yield b"".join(out)
            if self.query.follow:
                continue
            if self._left <= 0:
                yield notice(
                    f"more than {self._matches_max} lines match: search for more, or narrow it by time"
                )[2]
                return
            if self._clock() - begun > self._search_max_s:
                yield notice(f"the search took {self._search_max_s:g} s and ends here: narrow it by time")[2]
                return
        out = []
        for stream, rest in self._parts.items():
            if rest:
                self._line(self._times[stream], rest + b"\n", out)
        if out:
            yield b"".join(out)

    def _take(self, piece: Piece, out: list[bytes]) -> None:
        at_ns, stream, payload = piece
        rest = self._parts.get(stream, b"")
        if not rest:
            self._times[stream] = at_ns
        lines = payload.split(b"\n")
        if len(lines) > 1:
            self._line(self._times[stream], rest + lines[0] + b"\n", out)
            for line in lines[1:-1]:
                self._line(at_ns, line + b"\n", out)
            rest = lines[-1]
            self._times[stream] = at_ns
        else:
            rest += payload
        while len(rest) > LINE_MAX_BYTES:
            # A line without an end is looked at in parts that overlap, so that nothing is missed at a cut.
            self._line(self._times[stream], rest[:LINE_MAX_BYTES] + b"\n", out)
            rest = rest[LINE_MAX_BYTES - len(self._bytes) + 1 :]
        self._parts[stream] = rest

    def _matches(self, line: bytes) -> bool:
        if not self.query.ignore_case:
            return self._bytes in line
        return self._needle in line.decode("utf-8", "replace").casefold()

    def _line(self, at_ns: int, line: bytes, out: list[bytes]) -> None:
        shown = (stamp(at_ns) if self.query.timestamps else b"") + line
        if self._left > 0 and self._matches(line):
            if self.query.context and self._shown_any and self._skipped > len(self._before):
                out.append(b"--\n")
            out.extend(self._before)
            out.append(shown)
            self._before.clear()
            self._skipped, self._after, self._shown_any = 0, self.query.context, True
            self._left -= 1
        elif self._after > 0:
            out.append(shown)
            self._after -= 1
        else:
            self._before.append(shown)
            self._skipped += 1

"""Logs of a container: demultiplexed, each entry with its time, live or as kept.

The engine's json-file driver keeps text: a byte that is not UTF-8 comes back as U+FFFD.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from docker.errors import NotFound

from capabilities.numbers import NUMBERS
from deployments.logquery import LogQuery
from deployments.logtext import NUMBERS_OF, SECOND_NS, Piece, notice
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker.engine import Engine
from workers.executors.docker.streams import framed, pumped
from workers.pace import Behind, Pace

CHUNK_BYTES = 65_536
WIDEN = 4
WHOLE_SECONDS = 19  # 2026-01-31T12:00:00
AFTER_GAP_LINES = 100
Entries = list[tuple[int, bytes]]


def read(
    engine: Engine, container: str, query: LogQuery, stopped: Callable[[], bool]
) -> Iterator[list[Piece]]:
    """Yield pieces; with `follow` until the container ends or `stopped()`. ExecutorError `gone` without one."""
    if query.stream not in NUMBERS_OF:
        raise ExecutorError(
            Cause.START_FAILED, f"stream {query.stream!r} is not one of {', '.join(NUMBERS_OF)}"
        )
    wanted = NUMBERS_OF[query.stream]
    tail, skip = query.tail, 0
    if tail is not None and len(wanted) == 1:
        tail, skip = _widened(engine, container, wanted, tail)
    params = _params(wanted, tail, query)
    source = _followed if query.follow else _opened
    times = Times()
    for entries in source(engine, container, params, stopped):
        pieces = [times.piece(*entry) for entry in entries]
        if skip:
            pieces, skip = pieces[skip:], max(skip - len(pieces), 0)
        if pieces:
            yield pieces


def _params(wanted: tuple[int, ...], tail: int | None, query: LogQuery) -> dict[str, str]:
    params = {
        "stdout": str(int(1 in wanted)),
        "stderr": str(int(2 in wanted)),
        "follow": str(int(query.follow)),
        "tail": "all" if tail is None else str(max(tail, 0)),
        "timestamps": "1",
    }
    for name, at_ns in (("since", query.since_ns), ("until", query.until_ns)):
        if at_ns is not None:
            params[name] = f"{at_ns // SECOND_NS}.{at_ns % SECOND_NS:09d}"
    return params


def _widened(engine: Engine, container: str, wanted: tuple[int, ...], tail: int) -> tuple[int | None, int]:
    """Return how many last lines of both streams hold `tail` lines of the wanted one, and how many too many.

    The engine counts the tail over both streams and sorts out the unwanted one afterwards. Each line is a frame.
    """
    asked: int | None = tail
    while asked:
        params = _params((1, 2), asked, LogQuery())
        seen = [
            number in wanted for batch in _opened(engine, container, params, _never) for number, _ in batch
        ]
        if sum(seen) >= tail or len(seen) < asked:
            return asked, max(sum(seen) - tail, 0)
        asked *= WIDEN
    return asked, 0


def _never() -> bool:
    return False


@dataclass(slots=True)
class Times:
    """Reads the engine's times; one second is parsed once."""

    second: bytes = b""
    at_ns: int = 0

    def piece(self, number: int, entry: bytes) -> Piece:
        """Return a piece from an entry with its time in front; a notice of ours is passed through."""
        if not number:
            return 0, number, entry
        stamp, _, payload = entry.partition(b" ")
        return self.read(stamp), number, payload

    def read(self, stamp: bytes) -> int:
        """Return RFC 3339 with nanoseconds as nanoseconds since the epoch; 0 when it is something else."""
        try:
            if stamp[:WHOLE_SECONDS] != self.second or not stamp.endswith(b"Z"):
                moment = datetime.fromisoformat(stamp.decode())
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                self.at_ns = int(moment.replace(microsecond=0).timestamp()) * SECOND_NS
                self.second = stamp[:WHOLE_SECONDS]
            fraction = stamp[WHOLE_SECONDS + 1 :].partition(b"Z")[0].partition(b"+")[0]
            return self.at_ns + int(fraction[:9].ljust(9, b"0") or b"0")
        except ValueError:
            return 0


def _followed(
    engine: Engine, container: str, params: dict[str, str], stopped: Callable[[], bool]
) -> Iterator[Entries]:
    """Follow, then read what the engine left out.

    An engine that is busy ends a follow with the container, before it has sent everything that was written. So
    each entry is asked for with its time; after the end, the entries since the last one seen are read again. A
    log that grows faster than it can be read is left at once for its end, and the gap is said.
    """
    last, seen = b"", 0
    pace, times = Pace(NUMBERS.log_follow_bytes_per_s), Times()
    left_at = 0
    going = params
    while True:
        behind = Behind(NUMBERS.log_behind_max_s)
        too_far = False
        for entries in _opened(engine, container, going, stopped):
            for _, entry in entries:
                stamp = entry[: entry.find(b" ")]
                seen = seen + 1 if stamp == last else 1
                last = stamp
            at_ns = times.read(last)
            if left_at:
                first_ns = times.read(entries[0][1].partition(b" ")[0])
                yield [(0, gap((first_ns - left_at) / SECOND_NS))]
                left_at = 0
            yield entries
            if pause_s := pace.pause_s(sum(len(entry) for _, entry in entries), time.monotonic()):
                time.sleep(min(pause_s, 1.0))
            if at_ns and behind.too_far(at_ns, time.time_ns()):
                left_at, too_far = at_ns, True
                break
        if stopped():
            return
        if not too_far:
            break
        going = {key: value for key, value in params.items() if key != "since"} | {
            "tail": str(AFTER_GAP_LINES)
        }
    yield from _rest(engine, container, params, stopped, last, seen)


def gap(lasted_s: float) -> bytes:
    """Return the notice of a gap; the engine does not tell how many bytes it holds."""
    return notice(f"{max(lasted_s, 0.0):.1f} s of it skipped: the log grows faster than it is read")[2]


def _rest(
    engine: Engine,
    container: str,
    params: dict[str, str],
    stopped: Callable[[], bool],
    last: bytes,
    seen: int,
) -> Iterator[Entries]:
    rest = params | {"follow": "0"}
    if last:
        rest |= {"tail": "all", "since": _unix_time(last)}
    for entries in _opened(engine, container, rest, stopped):
        left: Entries = []
        for number, entry in entries:
            stamp = entry[: entry.find(b" ")]
            if stamp < last:
                continue
            if stamp == last and seen:
                seen -= 1
                continue
            left.append((number, entry))
        if left:
            yield left


def _unix_time(stamp: bytes) -> str:
    """Return the engine's RFC 3339 time (nanoseconds, UTC) as seconds and nanoseconds since the epoch."""
    whole, _, fraction = stamp.decode().rstrip("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return f"{int(moment.timestamp())}.{fraction or 0}"


def _opened(
    engine: Engine, container: str, params: dict[str, str], stopped: Callable[[], bool]
) -> Iterator[Entries]:
    with engine.errors("reading the log"):
        try:
            response = engine.open(
                "GET",
                f"/containers/{container}/logs",
                params=params,
                read_timeout_s=None if params["follow"] == "1" else NUMBERS.docker_timeout_s,
            )
        except NotFound as error:
            raise ExecutorError(Cause.GONE, "the container is gone, and its log with it") from error
        yield from pumped(response, framed(response.iter_content(CHUNK_BYTES)), stopped)

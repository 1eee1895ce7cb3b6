"""Logs of a container: demultiplexed, live or as kept.

The engine's json-file driver keeps text: a byte that is not UTF-8 comes back as U+FFFD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from docker.errors import NotFound

from capabilities.numbers import NUMBERS
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker.engine import Engine
from workers.executors.docker.streams import frames, pumped

STREAMS = {"stdout": {1}, "stderr": {2}, "both": {1, 2}}
CHUNK_BYTES = 65_536
WIDEN = 4


def read(
    engine: Engine,
    container: str,
    *,
    stream: str,
    tail: int | None,
    follow: bool,
    stopped: Callable[[], bool],
) -> Iterator[bytes]:
    """Yield chunks; with `follow` until the container ends or `stopped()`. ExecutorError `gone` without one."""
    if stream not in STREAMS:
        raise ExecutorError(Cause.START_FAILED, f"stream {stream!r} is not one of {', '.join(STREAMS)}")
    wanted = STREAMS[stream]
    skip = 0
    if tail is not None and len(wanted) == 1:
        tail, skip = _widened(engine, container, wanted, max(tail, 0))
    for _, payload in _frames(engine, container, wanted, tail=tail, follow=follow, stopped=stopped):
        if skip:
            skip -= 1
        else:
            yield payload


def _widened(engine: Engine, container: str, wanted: set[int], tail: int) -> tuple[int | None, int]:
    """Return how many last lines of both streams hold `tail` lines of the wanted one, and how many too many.

    The engine counts the tail over both streams and sorts out the unwanted one afterwards. Each line is a frame.
    """
    asked: int | None = tail
    while asked:
        both = _frames(engine, container, {1, 2}, tail=asked, follow=False, stopped=lambda: False)
        seen = [number in wanted for number, _ in both]
        if sum(seen) >= tail or len(seen) < asked:
            return asked, max(sum(seen) - tail, 0)
        asked *= WIDEN
    return asked, 0


def _frames(
    engine: Engine,
    container: str,
    wanted: set[int],
    *,
    tail: int | None,
    follow: bool,
    stopped: Callable[[], bool],
) -> Iterator[tuple[int, bytes]]:
    params = {
        "stdout": str(int(1 in wanted)),
        "stderr": str(int(2 in wanted)),
        "follow": str(int(follow)),
        "tail": "all" if tail is None else str(max(tail, 0)),
    }
    if follow:
        yield from _followed(engine, container, params, stopped)
    else:
        yield from _opened(engine, container, params, stopped)


def _followed(
    engine: Engine, container: str, params: dict[str, str], stopped: Callable[[], bool]
) -> Iterator[tuple[int, bytes]]:
    """Follow, then read what the engine left out.

    An engine that is busy ends a follow with the container, before it has sent everything that was written. So
    each entry is asked for with its time; after the end, the entries since the last one seen are read again.
    """
    last, seen = b"", 0
    for number, entry in _opened(engine, container, params | {"timestamps": "1"}, stopped):
        stamp, _, payload = entry.partition(b" ")
        last, seen = stamp, (seen + 1 if stamp == last else 1)
        yield number, payload
    if stopped():
        return
    rest = params | {"follow": "0", "timestamps": "1"}
    if last:
        rest |= {"tail": "all", "since": _unix_time(last)}
    for number, entry in _opened(engine, container, rest, stopped):
        stamp, _, payload = entry.partition(b" ")
        if stamp < last:
            continue
        if stamp == last and seen:
            seen -= 1
            continue
        yield number, payload


def _unix_time(stamp: bytes) -> str:
    """Return the engine's RFC 3339 time (nanoseconds, UTC) as seconds and nanoseconds since the epoch."""
    whole, _, fraction = stamp.decode().rstrip("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return f"{int(moment.timestamp())}.{fraction or 0}"


def _opened(
    engine: Engine, container: str, params: dict[str, str], stopped: Callable[[], bool]
) -> Iterator[tuple[int, bytes]]:
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
        yield from pumped(response, frames(response.iter_content(CHUNK_BYTES)), stopped)

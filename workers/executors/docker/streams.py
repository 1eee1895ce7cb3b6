"""Reading bodies of the engine that may never end, and ending them from our side."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
import urllib3

T = TypeVar("T")
POLL_S = 0.2
HEADER_BYTES = 8
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True, slots=True)
class _End:
    """The body has ended, or broke with `error`."""

    error: Exception | None = None


def pumped(response: requests.Response, items: Iterable[T], stopped: Callable[[], bool]) -> Iterator[T]:
    """Yield what a thread reads from the body as `items`, until it ends or `stopped()`; then close it.

    The caller's thread never blocks longer than POLL_S, and `stopped` is called in it alone, so that it may use
    what belongs to the thread (a database connection). Raises what is in BROKEN when the connection breaks.
    """
    inbox: queue.Queue[T | _End] = queue.Queue(maxsize=64)
    abandoned = threading.Event()

    def put(item: T | _End) -> bool:
        while not abandoned.is_set():
            try:
                inbox.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def pump() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BROKEN as error:
            put(_End(error))
        else:
            put(_End())

    thread = threading.Thread(target=pump, name="docker-stream", daemon=True)
    thread.start()
    next_look = 0.0
    try:
        while True:
            if time.monotonic() >= next_look:
                if stopped():
                    return
                next_look = time.monotonic() + POLL_S
            try:
                item = inbox.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        abandoned.set()
        # Closing would wait for the very read it should end; shutting the socket down ends the read at once.
        with suppress(OSError, ValueError, RuntimeError):
            response.raw.shutdown()
        thread.join()
        response.close()


def json_lines(response: requests.Response) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of the body as they come, one a line; a cut-off last line is dropped."""
    for line in response.iter_lines():
        if line.strip():
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if isinstance(document, dict):
                yield document


def frames(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each (stream, payload) of the engine's log framing; see `framed`."""
    for batch in framed(chunks):
        yield from batch


def framed(chunks: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield what each chunk completes of the engine's framing: 1 byte stream, 3 bytes zero, 4 bytes length, payload.

    `chunks` may be cut anywhere. A payload cut off by the end of the body is yielded as far as it came.
    """
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        start = 0
        found: list[tuple[int, bytes]] = []
        while len(buffer) - start >= HEADER_BYTES:
            body = start + HEADER_BYTES
            end = body + int.from_bytes(buffer[body - 4 : body], "big")
            if len(buffer) < end:
                break
            if end > body:
                found.append((buffer[start], bytes(buffer[body:end])))
            start = end
        del buffer[:start]
        if found:
            yield found
    if len(buffer) > HEADER_BYTES:
        yield [(buffer[0], bytes(buffer[HEADER_BYTES:]))]

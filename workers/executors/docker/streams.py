"""Reading bodies of the engine that may never end, and ending them from our side."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3

POLL_S = 0.2
HEADER_BYTES = 8
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@contextmanager
def cut_when(response: requests.Response, stopped: Callable[[], bool]) -> Iterator[None]:
    """Close `response` when the block ends, and shut its socket down as soon as `stopped()` says so.

    A thread blocked in recv() cannot look at `stopped`; shutting the socket down under it wakes it at once,
    while closing the buffered reader from here would wait for the very read it should end.
    """
    finished = threading.Event()

    def attend() -> None:
        while not finished.wait(POLL_S):
            if stopped():
                try:
                    response.raw.shutdown()
                except (OSError, ValueError, RuntimeError):
                    return  # the body has ended by itself meanwhile
                return

    watcher = threading.Thread(target=attend, name="docker-stream", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
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
    """Yield (stream, payload) of the engine's log framing: 1 byte stream, 3 bytes zero, 4 bytes length, payload.

    `chunks` may be cut anywhere. A payload cut off by the end of the body is yielded as far as it came.
    """
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            body = start + HEADER_BYTES
            end = body + int.from_bytes(buffer[body - 4 : body], "big")
            if len(buffer) < end:
                break
            if end > body:
                yield buffer[start], bytes(buffer[body:end])
            start = end
        del buffer[:start]
    if len(buffer) > HEADER_BYTES:
        yield buffer[0], bytes(buffer[HEADER_BYTES:])

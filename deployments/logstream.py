"""The log of an allocation as an HTTP answer: a followed one occupies one thread, and ends with its reader."""

from __future__ import annotations

import asyncio
import re
import threading
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from django.db import connections
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.services import authorize
from deployments.logquery import LogQuery, download, from_params
from deployments.models import Allocation
from deployments.outside import OUTSIDE

LOGS = "/dms/node/deployment/logs"
CONTENT_TYPE = "text/plain; charset=utf-8"
AT_ONCE_BYTES = 1 << 20
GZIP_WINDOW = 31
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

_places = threading.BoundedSemaphore(NUMBERS.log_followers_max)


def answer(allocation: Allocation, identity: Identity, params: Mapping[str, str]) -> HttpResponseBase:
    """Return the answer for the parameters of `logquery`; Refusal for bad ones or a missing capability."""
    query, how = from_params(params, timezone.now()), download(params)
    refuse_stranger(identity)
    if OUTSIDE.logs is None:
        raise Refusal("logs_unavailable", "this process cannot read logs", status=503)
    stopped = threading.Event()
    chunks = OUTSIDE.logs.read(allocation.pk, query, stopped=stopped.is_set)
    if how.gzip:
        chunks = gzipped(chunks)
    response = _followed(chunks, stopped) if query.follow else _whole(chunks, stopped)
    if how.gzip:
        response.headers["Content-Type"] = "application/gzip"
    if how.as_file or how.gzip:
        name = file_name(allocation, query, ".log.gz" if how.gzip else ".log")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def refuse_stranger(identity: Identity) -> None:
    """Refusal when the identity may not read logs."""
    decision = authorize(identity, LOGS)
    if not decision.allowed:
        raise Refusal(
            "not_authorized",
            f"{identity.name} may not read logs: {decision.why}",
            status=403,
            capability=LOGS,
        )


def file_name(allocation: Allocation, query: LogQuery, suffix: str) -> str:
    """Return what a downloaded log is called: nothing in it can leave the folder of downloads."""
    parts = [allocation.deployment.name, str(allocation), f"attempt-{query.attempt or allocation.attempt}"]
    if query.stream != "both":
        parts.append(query.stream)
    return _UNSAFE.sub("_", "-".join(parts)).strip("._")[:150] + suffix


def gzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks compressed."""
    packer = zlib.compressobj(wbits=GZIP_WINDOW)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


def _whole(chunks: Iterator[bytes], stopped: threading.Event) -> HttpResponseBase:
    """Answer a short log at once, a long one as it is read."""
    first: list[bytes] = []
    size = 0
    for chunk in chunks:
        first.append(chunk)
        size += len(chunk)
        if size > AT_ONCE_BYTES:
            rest = chain(iter([b"".join(first)]), chunks)
            return StreamingHttpResponse(Followed(rest, stopped, placed=False), content_type=CONTENT_TYPE)
    return HttpResponse(b"".join(first), content_type=CONTENT_TYPE)


def _followed(chunks: Iterator[bytes], stopped: threading.Event) -> HttpResponseBase:
    if not _places.acquire(blocking=False):
        raise Refusal(
            "too_many_followers",
            f"{NUMBERS.log_followers_max} logs are being followed already",
            status=429,
            hint="read it without follow, or try again later",
        )
    response = StreamingHttpResponse(Followed(chunks, stopped), content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


class Followed:
    """The chunks of a followed log, read in a thread of their own.

    Django closes the response, and with it this, when the reader has left; then `stopped` ends the reading.
    """

    def __init__(self, chunks: Iterator[bytes], stopped: threading.Event, *, placed: bool = True) -> None:
        self._chunks = chunks
        self._placed = placed
        self._stopped = stopped
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk as soon as there is one."""
        if self._stopped.is_set():
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        chunk = await loop.run_in_executor(self._thread, next, self._chunks, None)
        if chunk is None:
            self.close()
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """End the reading and give the place free; a second time does nothing."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        # In the same thread, hence after a read that is still going on has seen that it is stopped.
        self._thread.submit(self._end)
        self._thread.shutdown(wait=False)
        if self._placed:
            _places.release()

    def _end(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        connections.close_all()

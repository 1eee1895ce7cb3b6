"""The log of an allocation as an HTTP answer: a followed one occupies one thread, and ends with its reader."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from django.db import connections
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal
from capabilities.services import authorize
from deployments.models import Allocation
from deployments.outside import OUTSIDE

LOGS = "/dms/node/deployment/logs"
STREAMS = ("both", "stdout", "stderr")
TRUE, FALSE = frozenset({"1", "true", "yes"}), frozenset({"", "0", "false", "no"})
CONTENT_TYPE = "text/plain; charset=utf-8"

_places = threading.BoundedSemaphore(NUMBERS.log_followers_max)


def answer(allocation: Allocation, identity: Identity, query: Mapping[str, str]) -> HttpResponseBase:
    """Return the answer for `?stream=&tail=&follow=`; Refusal for bad parameters or a missing capability."""
    stream, tail, follow = parse(query)
    decision = authorize(identity, LOGS)
    if not decision.allowed:
        raise Refusal(
            "not_authorized",
            f"{identity.name} may not read logs: {decision.why}",
            status=403,
            capability=LOGS,
        )
    if OUTSIDE.logs is None:
        raise Refusal("logs_unavailable", "this process cannot read logs", status=503)
    stopped = threading.Event()
    chunks = OUTSIDE.logs.read(allocation.pk, stream=stream, tail=tail, follow=follow, stopped=stopped.is_set)
    if not follow:
        return HttpResponse(b"".join(chunks), content_type=CONTENT_TYPE)
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


def parse(query: Mapping[str, str]) -> tuple[str, int | None, bool]:
    """Return stream, tail and follow; Refusal with every bad parameter."""
    reasons = []
    stream = query.get("stream", "") or "both"
    if stream not in STREAMS:
        reasons.append(Reason("choice", "stream: unknown", "stream", hint=" or ".join(STREAMS)))
    text = query.get("tail", "")
    tail = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if text and tail is None:
        reasons.append(Reason("number", "tail: not a number of lines", "tail", hint="tail=100"))
    word = query.get("follow", "").lower()
    if word not in TRUE | FALSE:
        reasons.append(Reason("boolean", "follow: neither true nor false", "follow", hint="follow=true"))
    if reasons:
        raise Refusal("invalid_request", "; ".join(r.message for r in reasons), reasons=tuple(reasons))
    return stream, tail, word in TRUE


class Followed:
    """The chunks of a followed log, read in a thread of their own.

    Django closes the response, and with it this, when the reader has left; then `stopped` ends the reading.
    """

    def __init__(self, chunks: Iterator[bytes], stopped: threading.Event) -> None:
        self._chunks = chunks
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
        _places.release()

    def _end(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        connections.close_all()

"""A following log over a WebSocket: read in a thread, bounded in between, sent in batches."""

from __future__ import annotations

import asyncio
import codecs
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.db import close_old_connections
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.services import authorize
from deployments.logquery import LogQuery, from_params
from deployments.outside import OUTSIDE
from deployments.selectors import allocations_visible_to, lacks_on
from dmsweb.pages.entrance import Entrance, entrance
from dmsweb.pages.watched import Watched

logger = logging.getLogger(__name__)

LOGS = "/dms/node/deployment/logs"
TAIL_LINES = 2_000
QUEUE_CHUNKS = 32
BATCH_BYTES = 65_536
REFUSED_BUSY = 4429

_readers = ThreadPoolExecutor(NUMBERS.log_followers_max, thread_name_prefix="log-follower")
_free = threading.BoundedSemaphore(NUMBERS.log_followers_max)


def wanted(params: dict[str, str]) -> LogQuery:
    """Return what a page shows: what it asks for, followed, the last lines where it says no time. Raises Refusal."""
    query = from_params(params, timezone.now())
    tail = query.tail if query.tail is not None or query.since else TAIL_LINES
    return replace(query, follow=True, tail=tail)


class LogConsumer(Watched, AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Sends {"text"} as the log grows and {"end": true} when it is over; parameters as in `deployments.logquery`."""

    async def connect(self) -> None:
        """Accept the log of an allocation that the person may see."""
        self.stopped = threading.Event()
        self.sender: asyncio.Task[None] | None = None
        who = await database_sync_to_async(entrance)(self.scope)
        asked = parse_qs(self.scope["query_string"].decode())
        self.allocation = self.scope["url_route"]["kwargs"]["allocation"]
        try:
            self.query = wanted({name: values[0] for name, values in asked.items()})
        except Refusal:
            who = None
        if who is None or not await database_sync_to_async(self.may_go_on)(who):
            await self.close()
            return
        await self.accept()
        await self.watch(who)
        if not _free.acquire(blocking=False):
            limit = NUMBERS.log_followers_max
            await self.send_json(
                {"end": True, "problem": f"{limit} logs are followed already, try again later"}
            )
            await self.close(REFUSED_BUSY)
            return
        self.sender = asyncio.create_task(self._follow())

    def may_go_on(self, who: Entrance) -> bool:
        """Say whether she is let in, sees the allocation, and may read logs."""
        identity = who.identity
        rows = allocations_visible_to(identity).select_related("deployment").only("deployment")
        row = rows.filter(pk=self.allocation).first()
        if row is None or not authorize(identity, LOGS).allowed:
            return False
        return who.holds() and not lacks_on(identity, row.deployment, LOGS)

    async def _follow(self) -> None:
        """Start the reading thread, send what it reads, close when the log ends."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_CHUNKS)
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(_readers, self._read, loop, queue)
        reading.add_done_callback(lambda _: _free.release())
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            more = True
            while more:
                batch, more = await _batch(queue)
                if text := decoder.decode(batch, final=not more):
                    await self.send_json({"text": text})
            problem = await reading
            await self.send_json({"end": True} | ({"problem": problem} if problem else {}))
            await self.close()
        finally:
            self.stopped.set()
            while not queue.empty():
                queue.get_nowait()

    def _read(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[bytes | None]) -> str:
        """Read the log to its end in a thread; return what went wrong, empty when nothing did."""
        problem = ""
        try:
            if OUTSIDE.logs is None:
                return "this process cannot read logs"
            chunks = OUTSIDE.logs.read(self.allocation, self.query, stopped=self.stopped.is_set)
            for chunk in chunks:
                if self.stopped.is_set() or not self._put(loop, queue, chunk):
                    break
        except Exception as error:  # noqa: BLE001 - any failure of the executor is told to the person who looks
            logger.warning("log of %s: %s", self.allocation, error)
            problem = f"the log cannot be read: {error}"
        finally:
            self._put(loop, queue, None)
            close_old_connections()
        return problem

    def _put(
        self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[bytes | None], chunk: bytes | None
    ) -> bool:
        """Hand a chunk over; waits while the browser is slow. False once nobody listens any more."""
        if loop.is_closed():
            return False
        handed = asyncio.run_coroutine_threadsafe(queue.put(chunk), loop)
        while not self.stopped.is_set():
            try:
                handed.result(timeout=1.0)
            except TimeoutError:
                continue
            return True
        handed.cancel()
        return False

    async def disconnect(self, code: int) -> None:
        """Stop reading."""
        self.stopped.set()
        await self.unwatch()
        if self.sender is not None:
            self.sender.cancel()


async def _batch(queue: asyncio.Queue[bytes | None]) -> tuple[bytes, bool]:
    """Return what has come within one batch's time, and whether there may be more."""
    parts: list[bytes] = []
    size = 0
    chunk = await queue.get()
    until = asyncio.get_running_loop().time() + NUMBERS.log_batch_s
    while chunk is not None:
        parts.append(chunk)
        size += len(chunk)
        left = until - asyncio.get_running_loop().time()
        if size >= BATCH_BYTES or left <= 0:
            return b"".join(parts), True
        try:
            chunk = await asyncio.wait_for(queue.get(), left)
        except TimeoutError:
            return b"".join(parts), True
    return b"".join(parts), False

"""A mailbox of bounded depth, emptied by a few threads: what does not fit is refused at once, with that reason."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from capabilities.refusal import Refusal

Result = TypeVar("Result")


def nothing() -> None:
    """Do nothing after a message."""


class Mailbox:
    """Holds at most `depth` waiting messages; at most `workers` are handled at once, in order of arrival.

    `after` runs in the worker's thread after each message, and `closing` when the thread ends.
    """

    def __init__(
        self,
        depth: int,
        workers: int,
        *,
        name: str = "mailbox",
        after: Callable[[], None] = nothing,
        closing: Callable[[], None] = nothing,
    ) -> None:
        if depth <= 0 or workers <= 0:
            raise ValueError(f"depth ({depth}) and workers ({workers}) must be positive")
        self._waiting: queue.Queue[tuple[Future[Any], Callable[[], Any]] | None] = queue.Queue(depth)
        self._depth = depth
        self._workers = workers
        self._name = name
        self._after = after
        self._closing = closing
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._stopped = False

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return self._waiting.qsize()

    def put(self, work: Callable[[], Result]) -> Future[Result]:
        """Queue `work`; return its future, or Refusal `mailbox_full` / `mailbox_closed`."""
        future: Future[Result] = Future()
        with self._lock:
            if self._stopped:
                raise Refusal("mailbox_closed", "this actor is stopping", status=503, hint="try again later")
            try:
                self._waiting.put_nowait((future, work))
            except queue.Full:
                raise Refusal(
                    "mailbox_full",
                    f"the mailbox is full: {self._depth} messages wait already",
                    status=503,
                    hint="send it again in a moment; it has not been handled",
                ) from None
            if self._waiting.qsize() > self._idle and len(self._threads) < self._workers:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def stop(self) -> None:
        """Refuse what comes, handle what waits, and return when the threads have ended."""
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            item = self._waiting.get()
            with self._lock:
                self._idle -= 1
            if item is None:
                self._closing()
                return
            self._handle(*item)

    def _handle(self, future: Future[Any], work: Callable[[], Any]) -> None:
        # A future that was cancelled while it waited (its sender stopped waiting) is not handled at all.
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, nothing is swallowed
            self._after()
            future.set_exception(error)
        else:
            self._after()
            future.set_result(result)

"""Logs of allocations: live from the executor while it runs, from the kept files once it has ended.

Kept files are DMS_HOME/work/deployments/<deployment>/<node>.<allocation>/{stdout,stderr}.log, as the reference
places them, bounded by `NUMBERS.log_max_bytes` each (the newest part is kept).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from capabilities.numbers import NUMBERS
from deployments import states
from deployments.models import Allocation
from workers.executors.base import ExecutorError
from workers.executors.registry import executors

logger = logging.getLogger(__name__)
STREAMS = ("stdout", "stderr")
CHUNK_BYTES = 65_536


def folder_of(allocation: Allocation) -> Path:
    """Return where the allocation's kept logs are."""
    path: Path = settings.DMS_HOME.path("work", "deployments", allocation.deployment_id, str(allocation))
    return path


def _live(
    allocation: Allocation,
    stream: str,
    tail: int | None = None,
    follow: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[bytes]:
    executor = executors(allocation.node.identity.did).get(allocation.executor)
    if executor is None or not allocation.execution_id:
        return
    try:
        yield from executor.logs(
            allocation.execution_id, stream=stream, tail=tail, follow=follow, stopped=stopped
        )
    except ExecutorError as error:
        logger.info("log of %s: %s", allocation.pk, error.detail)


def keep_logs(allocation: Allocation) -> None:
    """Copy what the execution wrote to the kept files, before it is removed. A full disk loses the log, not the end."""
    folder = folder_of(allocation)
    for stream in STREAMS:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = folder / f".{stream}.{os.getpid()}.{threading.get_ident()}.new"
            with temporary.open("wb") as file:
                for chunk in bounded(_live(allocation, stream), NUMBERS.log_max_bytes):
                    file.write(chunk)
            temporary.replace(folder / f"{stream}.log")
        except OSError as error:
            logger.warning("keeping the log of %s: %s", allocation.pk, error)


def bounded(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Yield the newest `limit` bytes of `chunks`, give or take one chunk."""
    held: deque[bytes] = deque()
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        while size - len(held[0]) >= limit:
            size -= len(held.popleft())
    yield from held


def tail_of(path: Path, lines: int | None) -> Iterator[bytes]:
    """Yield the last `lines` lines of a file, all of it when None, in chunks."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if lines is not None:
            file.seek(_tail_offset(path, lines))
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _tail_offset(path: Path, lines: int) -> int:
    if lines <= 0:
        return path.stat().st_size
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        position, found = end, 0
        while position > 0:
            step = min(CHUNK_BYTES, position)
            position -= step
            file.seek(position)
            block = file.read(step)
            limit = len(block)
            while (index := block.rfind(b"\n", 0, limit)) >= 0:
                limit = index
                # A newline at the very end closes the last line and begins none.
                if position + index + 1 < end:
                    found += 1
                    if found == lines:
                        return position + index + 1
        return 0


class AllocationLogs:
    """The `LogSource` of this site."""

    def read(
        self,
        allocation_id: str,
        *,
        stream: str,
        tail: int | None = None,
        follow: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[bytes]:
        """Yield chunks; see `deployments.outside.LogSource`."""
        allocation = Allocation.objects.select_related("node__identity").get(pk=allocation_id)
        if allocation.status in states.ALLOCATION_TERMINAL:
            folder = folder_of(allocation)
            for name in STREAMS if stream == "both" else (stream,):
                yield from tail_of(folder / f"{name}.log", tail)
            return
        yield from _live(allocation, stream, tail, follow, stopped)

    def write(self, allocation_id: str) -> str:
        """Write both logs as they are now and return their folder."""
        allocation = Allocation.objects.select_related("node__identity").get(pk=allocation_id)
        if allocation.status not in states.ALLOCATION_TERMINAL:
            keep_logs(allocation)
        return str(folder_of(allocation))

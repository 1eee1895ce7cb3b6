"""Logs of allocations: live from the executor while it runs, from the kept files once it has ended.

Kept files are DMS_HOME/work/deployments/<deployment>/<node>.<allocation>/{stdout,stderr}.log, as the reference
places them, bounded by `NUMBERS.log_max_bytes` each (the newest part is kept).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from capabilities.numbers import NUMBERS
from deployments import states
from deployments.models import Allocation
from workers.executors.base import Cause, ExecutorError
from workers.executors.registry import executors

logger = logging.getLogger(__name__)
STREAMS = ("stdout", "stderr")
CHUNK_BYTES = 65_536
FOLLOW_PAUSE_S = 0.5


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
    """Yield from the executor; ExecutorError when it cannot give the log, `gone` when there is no execution."""
    executor = executors(allocation.node.identity.did).get(allocation.executor)
    if executor is None or not allocation.execution_id:
        raise ExecutorError(Cause.GONE, "nothing has been started yet")
    yield from executor.logs(
        allocation.execution_id, stream=stream, tail=tail, follow=follow, stopped=stopped
    )


def keep_logs(allocation: Allocation) -> None:
    """Copy what the execution wrote to the kept files, before it is removed.

    Whatever goes wrong loses the log, not the end. What was kept before is never replaced by less.
    """
    try:
        with _locked(folder_of(allocation)) as folder:
            for stream in STREAMS:
                _keep(allocation, stream, folder / f"{stream}.log")
    except OSError as error:
        logger.warning("keeping the log of %s: %s", allocation.pk, error)
    except Exception:
        logger.exception("keeping the log of %s", allocation.pk)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Hold the folder: a reader's copy from before the end must not replace the one made after it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(handle)


def _keep(allocation: Allocation, stream: str, path: Path) -> None:
    temporary = path.with_suffix(".new")
    try:
        for last in (False, True):
            fault: ExecutorError | None = None

            def chunks() -> Iterator[bytes]:
                nonlocal fault
                try:
                    yield from _live(allocation, stream)
                except ExecutorError as error:
                    fault = error

            with temporary.open("wb") as file:
                for chunk in bounded(chunks(), NUMBERS.log_max_bytes):
                    file.write(chunk)
            if fault is None or last or not fault.transient:
                break
        size = temporary.stat().st_size
        if fault is not None:
            logger.warning("the log of %s: %s", allocation.pk, fault.detail)
        if (fault is not None or not size) and path.exists() and path.stat().st_size >= size:
            return
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
        """Yield chunks; see `deployments.outside.LogSource`.

        With `follow` what has not been started yet is waited for, and what ends meanwhile is read as kept.
        """
        allocation = Allocation.objects.select_related("node__identity").get(pk=allocation_id)
        while follow and allocation.status == Allocation.Status.PENDING:
            if stopped():
                return
            time.sleep(FOLLOW_PAUSE_S)
            allocation.refresh_from_db(fields=["status", "execution_id"])
        if allocation.status not in states.ALLOCATION_TERMINAL:
            begun = False
            try:
                for chunk in _live(allocation, stream, tail, follow, stopped):
                    begun = True
                    yield chunk
            except ExecutorError as error:
                logger.info("log of %s: %s", allocation.pk, error.detail)
            if begun:
                return
            # It may have ended, been kept and removed between the look at the row and the look at the execution.
            allocation.refresh_from_db(fields=["status"])
        if allocation.status in states.ALLOCATION_TERMINAL:
            folder = folder_of(allocation)
            for name in STREAMS if stream == "both" else (stream,):
                yield from tail_of(folder / f"{name}.log", tail)

    def write(self, allocation_id: str) -> str:
        """Write both logs as they are now and return their folder."""
        allocation = Allocation.objects.select_related("node__identity").get(pk=allocation_id)
        if allocation.status not in states.ALLOCATION_TERMINAL:
            keep_logs(allocation)
        return str(folder_of(allocation))

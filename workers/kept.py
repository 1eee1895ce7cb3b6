"""Kept logs: DMS_HOME/work/deployments/<deployment>/<node>.<allocation>/attempt-<n>/{stdout,stderr}.log.

Beside the folders of the attempts `stdout.log` and `stderr.log` lead to the newest attempt's, where the reference
places them. Earlier releases kept the files themselves there; they are read all the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from capabilities.numbers import NUMBERS
from deployments.logquery import LogQuery
from deployments.logtext import Piece
from deployments.models import Allocation
from workers.executors.base import Cause, ExecutorError
from workers.executors.process.shim import Log, times_of
from workers.executors.registry import executors
from workers.logfiles import NAMES

logger = logging.getLogger(__name__)
PREFIX = "attempt-"


def root() -> Path:
    """Return the folder that holds a folder for each deployment."""
    path: Path = settings.DMS_HOME.path("work", "deployments")
    return path


def folder_of(allocation: Allocation) -> Path:
    """Return where the allocation's kept logs are."""
    return root() / allocation.deployment_id / str(allocation)


def attempt_folder(allocation: Allocation, attempt: int) -> Path:
    """Return where the log of one attempt is kept; before attempts were told apart, beside their folders."""
    folder = folder_of(allocation)
    found = folder / f"{PREFIX}{attempt}"
    old = folder / "stdout.log"
    if not found.exists() and attempt == allocation.attempt and old.is_file() and not old.is_symlink():
        return folder
    return found


def kept_attempts(allocation: Allocation) -> list[int]:
    """Return the attempts whose logs are kept, oldest first."""
    names = [path.name.removeprefix(PREFIX) for path in folder_of(allocation).glob(f"{PREFIX}*")]
    return sorted(int(name) for name in names if name.isdigit())


def live(
    allocation: Allocation, query: LogQuery, stopped: Callable[[], bool] = lambda: False
) -> Iterator[list[Piece]]:
    """Yield from the executor; ExecutorError when it cannot give the log, `gone` when there is no execution."""
    executor = executors(allocation.node.identity.did).get(allocation.executor)
    if executor is None or not allocation.execution_id:
        raise ExecutorError(Cause.GONE, "nothing has been started yet")
    yield from executor.pieces(allocation.execution_id, query, stopped)


def keep_logs(allocation: Allocation) -> None:
    """Copy what the present attempt wrote to the kept files, before its execution is removed.

    Whatever goes wrong loses the log, not the end. What was kept before is never replaced by less.
    """
    try:
        with _locked(folder_of(allocation)) as folder:
            _keep(allocation, folder / f"{PREFIX}{allocation.attempt}")
            _lead(folder, allocation.attempt)
            _drop_oldest(allocation)
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


def _keep(allocation: Allocation, folder: Path) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    fresh = folder / ".new"
    try:
        for last in (False, True):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
            fault = _copy(allocation, fresh)
            if fault is None or last or not fault.transient:
                break
        if fault is not None:
            logger.warning("the log of %s: %s", allocation.pk, fault.detail)
        for name in NAMES.values():
            _replace(fresh / f"{name}.log", folder / f"{name}.log", whole=fault is None)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _copy(allocation: Allocation, folder: Path) -> ExecutorError | None:
    """Write what the executor gives; return what kept it from giving all of it."""
    logs = {
        number: Log(str(folder / f"{name}.log"), 2 * NUMBERS.log_max_bytes) for number, name in NAMES.items()
    }
    wrote = 0
    try:
        for batch in live(allocation, LogQuery()):
            for at_ns, number, payload in batch:
                if number in logs:
                    logs[number].write(payload, at_ns, switched=number != wrote)
                    wrote = number
    except ExecutorError as error:
        return error
    finally:
        for log in logs.values():
            log.close()
    return None


def _replace(fresh: Path, path: Path, *, whole: bool) -> None:
    size = _size(fresh)
    if (not whole or not size) and path.exists() and _size(path) >= size:
        return
    for name in ("", ".1"):
        for one in (Path(times_of(f"{fresh}{name}")), Path(f"{fresh}{name}")):
            target = path.parent / one.name
            if one.exists():
                one.replace(target)
            else:
                target.unlink(missing_ok=True)


def _size(path: Path) -> int:
    older = path.with_name(f"{path.name}.1")
    return sum(one.stat().st_size for one in (path, older) if one.exists())


def _lead(folder: Path, attempt: int) -> None:
    """Let the files beside the attempts' folders lead to the newest attempt."""
    for name in NAMES.values():
        link, made = folder / f"{name}.log", folder / f".{name}.link"
        target = f"{PREFIX}{attempt}/{name}.log"
        if link.is_symlink() and os.readlink(link) == target:  # noqa: PTH115
            continue
        made.unlink(missing_ok=True)
        made.symlink_to(target)
        made.replace(link)


def _drop_oldest(allocation: Allocation) -> None:
    for attempt in kept_attempts(allocation)[: -NUMBERS.log_attempts_kept]:
        shutil.rmtree(folder_of(allocation) / f"{PREFIX}{attempt}", ignore_errors=True)

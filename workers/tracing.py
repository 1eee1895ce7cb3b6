"""Celery's hooks: which request a task works for, and that logging is the site's, not Celery's."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from celery.signals import setup_logging, task_postrun, task_prerun

from node.counters import TASK_SECONDS, TASKS
from node.logger.context import REQUEST_ID, begin
from node.wake import REQUEST_HEADER

_begun: Final[dict[int, float]] = {}


@setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Leave Django's settings as they are; that somebody listens is what Celery looks at."""


@task_prerun.connect
def task_begins(task: Any = None, **_: Any) -> None:
    """Bind the id of the request that woke the worker."""
    given = (getattr(task.request, "headers", None) or {}).get(REQUEST_HEADER) if task is not None else None
    if task is not None:
        _begun[threading.get_ident()] = time.perf_counter()
    begin(request=given if isinstance(given, str) and REQUEST_ID.fullmatch(given) else "")


@task_postrun.connect
def task_ends(task: Any = None, state: str = "", **_: Any) -> None:
    """Count the task and let go of its request: the thread's next task is another's."""
    begun = _begun.pop(threading.get_ident(), None)
    if task is not None and begun is not None:
        TASKS.labels(task.name, (state or "unknown").lower()).inc()
        TASK_SECONDS.labels(task.name).observe(time.perf_counter() - begun)
    begin()

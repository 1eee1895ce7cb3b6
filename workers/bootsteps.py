"""What lives in the worker beside its tasks: the periodic wake-ups and the sign of life.

Beat runs as a thread of the worker: a process of its own would cost as much memory as the worker. It
remembers nothing on disk; everything is due once at start, which is what a sweep after a restart needs.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from celery.beat import Scheduler, Service

from capabilities.numbers import NUMBERS

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class DueAtStart(Scheduler):
    """The schedule in memory, every entry due at once when the worker starts."""

    def setup_schedule(self) -> None:
        """Take the entries of the application."""
        super().setup_schedule()
        self.merge_inplace(self.app.conf.beat_schedule)
        for entry in self.schedule.values():
            entry.last_run_at = LONG_AGO


class Beat(bootsteps.StartStopStep):
    """Runs the schedule in a thread."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._service: Service | None = None

    def start(self, worker: Any) -> None:
        """Start the thread."""
        self._service = Service(worker.app, max_interval=5, scheduler_cls=DueAtStart)
        threading.Thread(target=self._service.start, args=(True,), name="beat", daemon=True).start()

    def stop(self, worker: Any) -> None:
        """Ask the thread to end; it is a daemon and never holds up the worker's stop."""
        if self._service is not None:
            self._service.stop(wait=False)


class Alive(bootsteps.StartStopStep):
    """Writes the worker's pid to DMS_ALIVE_FILE once it consumes, and touches it while it lives."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        file = os.environ.get("DMS_ALIVE_FILE")
        self._file = Path(file) if file else None
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Say that tasks are taken from now on."""
        if self._file is not None:
            self._file.write_text(f"{os.getpid()}\n")
            self._timer = consumer.timer.call_repeatedly(NUMBERS.worker_alive_s, self._touch)

    def stop(self, consumer: Any) -> None:
        """End the sign of life."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _touch(self) -> None:
        if self._file is not None:
            self._file.touch()


def add_steps(app: Celery) -> None:
    """Give the worker of `app` its bootsteps."""
    app.steps["worker"].add(Beat)
    app.steps["consumer"].add(Alive)

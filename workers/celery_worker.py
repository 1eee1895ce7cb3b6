"""The worker process of one node: `python -m workers.celery_worker` with DMS_NODE_ID.

Threads, not processes: tasks wait for Docker, Redis and the database, and threads share one copy of Django.
No gossip, mingle or heartbeats between workers: rows are the truth, wake-ups may be lost.
"""

from __future__ import annotations

import os

from celery import Celery

from capabilities.numbers import NUMBERS
from workers.bootsteps import add_steps

QUEUES = ("orchestrator", "network", "monitor")


def queues(node_id: str) -> list[str]:
    """Return the queues that the worker of a node consumes."""
    return [*QUEUES, f"executor.{node_id}"]


def worker_arguments(node_id: str) -> list[str]:
    """Return the worker's command line, in Celery's words."""
    return [
        "worker",
        "--pool=threads",
        f"--concurrency={NUMBERS.worker_threads}",
        f"--queues={','.join(queues(node_id))}",
        f"--hostname=worker-{node_id or 'local'}",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        f"--loglevel={os.environ.get('DMS_LOG_LEVEL', 'INFO')}",
    ]


def application() -> Celery:
    """Return the site's Celery application with this worker's steps and schedule.

    `dmsweb.celery` registers itself as Celery's current application: it is loaded by name, as Celery's own
    command line does, because this room does not import the one above it.
    """
    from celery.app.utils import find_app
    from django import setup

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dmsweb.settings")
    app: Celery = find_app("dmsweb.celery")
    setup()
    app.conf.beat_schedule = _schedule()
    add_steps(app)
    return app


def _schedule() -> dict[str, object]:
    from workers.schedule import BEAT_SCHEDULE

    return dict(BEAT_SCHEDULE)


if __name__ == "__main__":
    application().worker_main(argv=worker_arguments(os.environ.get("DMS_NODE_ID", "")))

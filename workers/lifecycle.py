"""What a node's worker does when it starts and stops: take over, watch its executions, let go."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

from celery.signals import worker_init, worker_ready, worker_shutting_down
from django.db import close_old_connections

from deployments.services.allocations import drop_leases
from node.selectors import local_node
from node.services import logger as logger_settings
from node.services.machine import node_event, record_facts, record_sample
from workers import reconcile, run
from workers.executors.base import Executor
from workers.executors.registry import executors
from workers.hands import ENDS
from workers.health.runner import ALARM, Runner
from workers.report import record_executors
from workers.tasks.execute import start_soon, stop_soon

logger = logging.getLogger(__name__)
STOP = threading.Event()


def _watch(executor: Executor, node_did: str) -> None:
    def ended(execution_id: str) -> None:
        # Keeping a long log must not keep the other ends waiting.
        ENDS.take(("collect", execution_id), functools.partial(run.collect, execution_id))

    while not STOP.is_set():
        try:
            executor.watch(node_did, ended, STOP)
        except Exception:
            logger.exception("watching %s; starting over", executor.name)
        close_old_connections()
        STOP.wait(1.0)


def _take_over() -> None:
    node = local_node()
    # Watching comes first: it also reports what had ended before, and nothing below may keep it from starting.
    for executor in executors(node.identity.did).values():
        name = f"watch-{executor.name}"
        threading.Thread(target=_watch, args=(executor, node.identity.did), name=name, daemon=True).start()
    checks = Runner(node.pk, executors(node.identity.did))
    threading.Thread(target=checks.run, args=(STOP,), name="health", daemon=True).start()
    steps: dict[str, Callable[[], object]] = {
        "event": lambda: node_event(node, "worker", "worker started"),
        "executors": lambda: record_executors(node),
        "facts": lambda: record_facts(node),
        "sample": lambda: record_sample(node),
        "work that waits": lambda: reconcile.take_up(node, start=start_soon, stop=stop_soon),
        "executions": lambda: reconcile.compare(node),
    }
    for what, step in steps.items():
        with reconcile.guarded("taking over", what):
            step()
    close_old_connections()


@worker_init.connect
def forget_claims(**_: Any) -> None:
    """Drop the claims of the worker before, while nobody can have made one since."""
    drop_leases(local_node().pk)
    close_old_connections()


@worker_ready.connect
def begin(**_: Any) -> None:
    """Take over this node's work in a thread of its own, so that the queues are served at once."""
    logger_settings.start()
    threading.Thread(target=_take_over, name="take-over", daemon=True).start()


@worker_shutting_down.connect
def end(**_: Any) -> None:
    """Stop watching; executions go on and are adopted at the next start."""
    STOP.set()
    ALARM.event.set()

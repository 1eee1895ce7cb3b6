"""What a node's worker does when it starts and stops: take over, watch its executions, let go."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.db import close_old_connections

from deployments.services.allocations import drop_leases
from node.selectors import local_node
from node.services.machine import record_facts, record_sample
from workers import reconcile, run
from workers.executors.base import Executor
from workers.executors.registry import executors
from workers.report import record_executors

logger = logging.getLogger(__name__)
STOP = threading.Event()


def _watch(executor: Executor, node_did: str) -> None:
    def ended(execution_id: str) -> None:
        try:
            run.collect(execution_id)
        except Exception:  # the sweep collects it; one bad event must not end the watching
            logger.exception("collecting %s", execution_id)
        finally:
            close_old_connections()

    while not STOP.is_set():
        try:
            executor.watch(node_did, ended, STOP)
        except Exception:
            logger.exception("watching %s; starting over", executor.name)
        STOP.wait(1.0)


def _take_over() -> None:
    node = local_node()
    drop_leases(node.pk)
    record_executors(node)
    record_facts(node)
    record_sample(node)
    reconcile.compare(node)
    reconcile.take_up(node)
    for executor in executors(node.identity.did).values():
        name = f"watch-{executor.name}"
        threading.Thread(target=_watch, args=(executor, node.identity.did), name=name, daemon=True).start()
    close_old_connections()


@worker_ready.connect
def begin(**_: Any) -> None:
    """Take over this node's work in a thread of its own, so that the queues are served at once."""
    threading.Thread(target=_take_over, name="take-over", daemon=True).start()


@worker_shutting_down.connect
def end(**_: Any) -> None:
    """Stop watching; executions go on and are adopted at the next start."""
    STOP.set()

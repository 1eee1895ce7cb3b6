"""Periodic work on the queue `monitor`: measure, and let go of what is over. Safe to run twice."""

from __future__ import annotations

import logging
import time

from celery import shared_task
from django.utils import timezone

from capabilities.grants import warn
from capabilities.refusal import Refusal
from capabilities.retention import sweep
from capabilities.seals import seal_next
from node.nonces import purge
from node.selectors import local_node
from node.services import ledger, machine
from workers.tasks.execute import alone

logger = logging.getLogger(__name__)


@shared_task(name="workers.tasks.monitor.sample")
def sample() -> None:
    """Measure this worker's machine: what it is, and what is used of it."""
    try:
        node = local_node()
    except Refusal:
        return  # the site is being prepared; the next turn finds the node
    machine.record_facts(node)
    machine.record_sample(node)


@shared_task(name="workers.tasks.monitor.expire_commitments")
def expire_commitments() -> None:
    """Take back promises whose time is over."""
    gone = ledger.expire(timezone.now())
    if gone:
        logger.info("%d promises have expired", gone)


@shared_task(name="workers.tasks.monitor.seal_audit")
@alone
def seal_audit() -> None:
    """Seal what was written into the audit log since the last time."""
    seal_next()


@shared_task(name="workers.tasks.monitor.grants")
@alone
def grants() -> None:
    """Say on the node's timeline which grants end soon, each once."""
    node = local_node()
    for row in warn():
        text = f"what {row.owner} may do ends on {row.expires_at:%Y-%m-%d}: ./dms cap renew {row.pk}"
        machine.node_event(node, "grant", text, token=row.pk)


@shared_task(name="workers.tasks.monitor.retention")
@alone
def retention() -> None:
    """Let go of the rows whose time is over, of every table."""
    sweep(timezone.now())


@shared_task(name="workers.tasks.monitor.purge_nonces")
def purge_nonces() -> None:
    """Forget nonces of envelopes that have expired."""
    purge(time.time_ns())

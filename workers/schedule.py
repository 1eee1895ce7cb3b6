"""What is done periodically, and how often. Beat runs in the worker; every task is safe to run twice."""

from __future__ import annotations

import os
from typing import Any

from capabilities.numbers import NUMBERS


def every(task: str, seconds: float, queue: str) -> dict[str, Any]:
    """Return an entry: `task` each `seconds`, dropped when it could not start before the next one is due."""
    return {"task": task, "schedule": seconds, "options": {"queue": queue, "expires": max(1.0, seconds)}}


# The worker of a node sweeps that node alone: the wake-ups go to its own queue.
HERE = f"executor.{os.environ.get('DMS_NODE_ID', '')}"

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "sample": every("workers.tasks.monitor.sample", NUMBERS.usage_sample_s, "monitor"),
    "expire-commitments": every(
        "workers.tasks.monitor.expire_commitments", NUMBERS.commit_sweep_s, "monitor"
    ),
    "audit-seal": every("workers.tasks.monitor.seal_audit", NUMBERS.audit_seal_s, "monitor"),
    "roles": every("dmsweb.accounts.tasks.keep_roles", NUMBERS.grants_look_s, "monitor"),
    "grants": every("workers.tasks.monitor.grants", NUMBERS.grants_look_s, "monitor"),
    "retention": every("workers.tasks.monitor.retention", NUMBERS.retention_sweep_s, "monitor"),
    "purge-nonces": every("workers.tasks.monitor.purge_nonces", NUMBERS.nonce_purge_s, "monitor"),
    "sweep": every("workers.tasks.execute.sweep", NUMBERS.sweep_pending_s, HERE),
    "compare": every("workers.tasks.execute.compare", NUMBERS.sweep_idle_s, HERE),
    "disks": every("workers.tasks.execute.disks", NUMBERS.disk_check_s, HERE),
    "stats": every("workers.tasks.stats.sample", NUMBERS.allocation_sample_s, HERE),
    "foreign": every("workers.tasks.stats.foreign", NUMBERS.foreign_check_s, HERE),
    "terminals": every("workers.tasks.execute.terminals", NUMBERS.exec_lost_s, HERE),
    "benchmark": every("workers.tasks.benchmark.sweep", NUMBERS.benchmark_sweep_s, HERE),
    "kept-logs": every("workers.tasks.removal.kept", NUMBERS.log_sweep_s, HERE),
    "hello": every("workers.tasks.peers.greet", NUMBERS.peer_hello_s, "network"),
    "outgoing": every("workers.tasks.peers.deliver", NUMBERS.outgoing_look_s, "network"),
    "executors": every("workers.tasks.execute.look", NUMBERS.executors_check_s, HERE),
}

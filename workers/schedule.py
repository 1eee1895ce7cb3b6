"""What is done periodically, and how often. Beat runs in the worker; every task is safe to run twice."""

from __future__ import annotations

from typing import Any

from capabilities.numbers import NUMBERS


def every(task: str, seconds: float, queue: str) -> dict[str, Any]:
    """Return an entry: `task` each `seconds`, dropped when it could not start before the next one is due."""
    return {"task": task, "schedule": seconds, "options": {"queue": queue, "expires": max(1.0, seconds)}}


BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "sample": every("workers.tasks.monitor.sample", NUMBERS.usage_sample_s, "monitor"),
    "expire-commitments": every(
        "workers.tasks.monitor.expire_commitments", NUMBERS.commit_sweep_s, "monitor"
    ),
    "retention": every("workers.tasks.monitor.retention", NUMBERS.retention_sweep_s, "monitor"),
    "purge-nonces": every("workers.tasks.monitor.purge_nonces", NUMBERS.nonce_purge_s, "monitor"),
}

"""How long an allocation may run, and how often it may be started again."""

from __future__ import annotations

from capabilities.numbers import NUMBERS
from deployments.ensemble.durations import read_duration
from deployments.ensemble.fields import Fields, Shape
from deployments.ensemble.model import COMPLETED, READY_WHEN, STARTED, RestartSpec

RESTART = Shape(
    "restart",
    frozenset({"max", "within", "backoff", "backoff_max"}),
    hints={"policy": "how often is said here; whether at all by `failure_recovery`"},
)
MAX_RESTARTS = 1_000_000
MAX_RETRY = 1_000


def read_restart(top: Fields) -> RestartSpec | None:
    """Return the intensity and back-off of restarts, None when nothing is said."""
    restart = top.child("restart", RESTART)
    if restart is None:
        return None

    def duration(key: str, default_s: float, *, zero: bool = False) -> int:
        found = read_duration(restart, key, example="10s or 5m", zero=zero)
        return int(default_s * 1e9) if found is None else found

    backoff = duration("backoff", NUMBERS.allocation_backoff_s, zero=True)
    longest = duration("backoff_max", max(NUMBERS.allocation_backoff_max_s, backoff / 1e9), zero=True)
    if longest < backoff:
        restart.error("backoff_max", "backoff_max is shorter than backoff", "the longest pause, such as 1m")
    return RestartSpec(
        max=restart.integer("max", 0, MAX_RESTARTS, default=NUMBERS.allocation_restarts_max),
        within_ns=duration("within", NUMBERS.allocation_restarts_within_s),
        backoff_ns=backoff,
        backoff_max_ns=longest,
    )


def read_retry(top: Fields, kind: str) -> int:
    """Return how often a task that failed is run again."""
    retry = top.integer("retry", 0, MAX_RETRY)
    if retry and kind == "service":
        top.error("retry", "a service is not retried", "retry is for tasks; write `restart: {max: ..}`")
    return retry


def read_ready_when(top: Fields, kind: str) -> str:
    """Return what those wait for that depend on it: its start, or its end."""
    found = top.choice("ready_when", READY_WHEN, STARTED)
    if found == COMPLETED and kind == "service":
        top.error("ready_when", "a service does not complete", "write `type: task`, or a `healthcheck`")
    return found


def read_max_runtime(top: Fields) -> int:
    """Return the longest time it may run in nanoseconds, 0 for any."""
    return read_duration(top, "max_runtime", example="2h or 7d") or 0

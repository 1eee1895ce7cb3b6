"""Whether an allocation works: the state machine of its checks, and what counts as a good answer. Pure.

    starting   has not answered well yet; it is asked often, so that what waits for it goes on soon
    healthy    its last answers were good, or fewer than `retries` in a row were bad
    unhealthy  `retries` bad answers in a row have counted

While it is starting a bad answer counts at most once in an interval, beginning after the start period: asking often
does not use up its retries. A good answer makes it healthy from wherever it is, and clears the count.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Final

from capabilities.numbers import NUMBERS
from deployments.ensemble.model import HealthcheckSpec

NONE: Final = ""
STARTING: Final = "starting"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"
EXCERPT: Final = 80
STARTING_SHARE: Final = 10.0  # of the time, one in so many is spent on asking
_NS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how patiently an allocation is asked."""

    interval_s: float
    timeout_s: float
    retries: int
    start_period_s: float
    starting_s: float

    @classmethod
    def of(cls, spec: HealthcheckSpec) -> Plan:
        """Return the plan of a check, with the site's defaults for what it leaves out."""
        interval = spec.interval_ns / _NS or NUMBERS.health_interval_s
        return cls(
            interval_s=max(interval, NUMBERS.health_interval_min_s),
            timeout_s=min(spec.timeout_ns / _NS or NUMBERS.health_timeout_s, NUMBERS.health_timeout_max_s),
            retries=spec.retries or NUMBERS.health_retries,
            start_period_s=spec.start_period_ns / _NS,
            starting_s=NUMBERS.health_starting_s,
        )


@dataclass(frozen=True, slots=True)
class Health:
    """Where an allocation stands. `counts_from`: while starting a bad answer before that moment does not count."""

    state: str
    failures: int
    counts_from: float


def begin(plan: Plan, started_at: float, *, state: str = STARTING, failures: int = 0) -> Health:
    """Return where an allocation stands that was started then, or that was known to stand so already."""
    return Health(state or STARTING, failures, started_at + plan.start_period_s + plan.interval_s)


def after(health: Health, plan: Plan, *, good: bool, at: float) -> Health:
    """Return where it stands after an answer that came at `at`."""
    if good:
        return replace(health, state=HEALTHY, failures=0)
    if health.state == STARTING and at < health.counts_from:
        return health
    failures = health.failures + 1
    state = UNHEALTHY if failures >= plan.retries else health.state
    return Health(state, failures, at + plan.interval_s)


def next_at(health: Health, plan: Plan, *, asked_at: float, answered_at: float) -> float:
    """Return when it is asked again: from one question to the next an interval, never two at once.

    While it is starting sooner, and the less often the longer an answer takes: many that start at once must not be
    held up by their own checks.
    """
    pause = plan.interval_s
    if health.state == STARTING:
        pause = min(pause, max(plan.starting_s, STARTING_SHARE * (answered_at - asked_at)))
    return max(asked_at + pause, answered_at)


def resumed_at(health: Health, plan: Plan, *, now: float, name: str) -> float:
    """Return when a worker that has just begun asks for the first time: at once, what was healthy spread in time."""
    if health.state != HEALTHY:
        return now
    return now + plan.interval_s * (zlib.crc32(name.encode()) % 1000) / 1000


def ready(status: str, health: str, awaited_to_end: bool) -> bool:
    """Say whether what depends on an allocation may start: it is healthy, runs without a check, or has ended.

    One that is awaited to its end must have completed.
    """
    if awaited_to_end:
        return status == "completed"
    return status != "pending" and not (status == "running" and health in (STARTING, UNHEALTHY))


def fault_of(spec: HealthcheckSpec, text: bytes, *, cut: bool) -> str:
    """Return why an answer is not what is expected, empty when it is. `cut`: it went on and was not read further."""
    if not spec.response_value and spec.response_type in ("", "string"):
        return ""
    kind = spec.response_type
    if kind in ("", "string"):
        kind = "equals" if spec.type == "http" else "contains"
    wanted = spec.response_value.encode()
    if kind == "equals":
        found = not cut and text.strip() == wanted.strip()
        word = "is not"
    elif kind == "starts_with":
        found, word = text.lstrip().startswith(wanted), "does not start with"
    else:
        found, word = wanted in text, "does not contain"
    return "" if found else f"{shown(text)} {word} {shown(wanted)}"


def decided(spec: HealthcheckSpec, text: bytes) -> bool:
    """Say whether reading on cannot make a difference: what is looked for has come."""
    wanted = spec.response_value.encode()
    if spec.response_type == "starts_with":
        return len(text.lstrip()) >= len(wanted)
    contains = spec.response_type == "contains" or (
        spec.response_type in ("", "string") and spec.type != "http"
    )
    return contains and wanted in text


def status_is_good(wanted: str, status: int) -> bool:
    """Say whether an HTTP status is the expected one: any 2xx, one number, or a class such as 3xx."""
    wanted = wanted or "2xx"
    return str(status)[0] == wanted[0] if wanted.endswith("xx") else str(status) == wanted


def shown(text: bytes) -> str:
    """Return the beginning of an answer as it may be shown: printable, in quotes, short."""
    words = text[: 4 * EXCERPT].decode(errors="replace")
    found = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
    return f'"{found[:EXCERPT]}{"…" if len(found) > EXCERPT or len(text) > 4 * EXCERPT else ""}"'


def milliseconds(seconds: float) -> str:
    """Return how long an answer took, in words."""
    return f"{max(0.0, seconds) * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"

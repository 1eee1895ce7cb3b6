"""The concurrency limiter: bounds how many handlers run at once, not how many come in a second.

Only broadcasts and behaviors under `/public/` are limited. `allow` is the early look that changes nothing;
`acquire` counts, and its limit is slightly larger so that what is already queued gets through.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from capabilities.refusal import Refusal

PUBLIC = "/public/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many handlers may run at once, by class; ValueError when the numbers contradict each other."""

    public_allow: int = 4096
    public_acquire: int = 4112
    broadcast_allow: int = 1024
    broadcast_acquire: int = 1040
    topic_default: int = 128
    topics: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allow, acquire in (
            ("public", self.public_allow, self.public_acquire),
            ("broadcast", self.broadcast_allow, self.broadcast_acquire),
        ):
            if allow <= 0:
                raise ValueError(f"{name}_allow must be positive, not {allow}")
            if acquire < allow:
                raise ValueError(f"{name}_acquire ({acquire}) must be at least {name}_allow ({allow})")
        if self.topic_default <= 0:
            raise ValueError(f"topic_default must be positive, not {self.topic_default}")

    def topic(self, name: str) -> int:
        """Return how many handlers may run for the topic `name`."""
        return self.topics.get(name, self.topic_default)


def rate_limit_exceeded(what: str, active: int, limit: int) -> Refusal:
    """Return the answer for a class that is full."""
    return Refusal(
        "rate_limit_exceeded",
        f"rate limit exceeded: {active} {what} are running, at most {limit} may",
        status=429,
        hint="try again when some have ended",
    )


class Limiter:
    """Counts running handlers; shared by all actors of the process."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._public = 0
        self._broadcast = 0
        self._topics: Counter[str] = Counter()

    def configure(self, limits: Limits) -> None:
        """Use other limits from now on; what runs keeps running."""
        with self._lock:
            self._limits = limits

    def active(self) -> dict[str, int]:
        """Return how many handlers of each class run."""
        with self._lock:
            return {"public": self._public, "broadcast": self._broadcast, **self._topics}

    def allow(self, path: str, topic: str = "") -> bool:
        """Say whether one more would fit; nothing is counted."""
        with self._lock:
            limits = self._limits
            if topic:
                return self._full(topic, limits.broadcast_allow) is None
            return not path.startswith(PUBLIC) or self._public < limits.public_allow

    def acquire(self, path: str, topic: str = "") -> None:
        """Count one more running handler; Refusal when its class or topic is full."""
        with self._lock:
            limits = self._limits
            if topic:
                full = self._full(topic, limits.broadcast_acquire)
                if full is not None:
                    raise full
                self._broadcast += 1
                self._topics[topic] += 1
            elif path.startswith(PUBLIC):
                if self._public >= limits.public_acquire:
                    raise rate_limit_exceeded("public behaviors", self._public, limits.public_acquire)
                self._public += 1

    def release(self, path: str, topic: str = "") -> None:
        """Count one running handler less; releasing a topic that is not held changes nothing."""
        with self._lock:
            if topic:
                if not self._topics[topic]:
                    del self._topics[topic]
                    return
                self._broadcast -= 1
                self._topics[topic] -= 1
                if not self._topics[topic]:
                    del self._topics[topic]
            elif path.startswith(PUBLIC) and self._public:
                self._public -= 1

    def _full(self, topic: str, limit: int) -> Refusal | None:
        if self._broadcast >= limit:
            return rate_limit_exceeded("broadcasts", self._broadcast, limit)
        most = self._limits.topic(topic)
        if self._topics.get(topic, 0) >= most:
            return rate_limit_exceeded(f"broadcasts on {topic}", self._topics[topic], most)
        return None

"""How fast a log is followed, and when its reader is too far behind. Pure: the clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field

SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class Pace:
    """Lets `bytes_per_s` through, with a second's worth at once after a rest: one spamming log never takes a core."""

    bytes_per_s: float
    _spent: float = 0.0
    _at: float = 0.0

    def pause_s(self, size: int, now: float) -> float:
        """Return how long to wait after `size` bytes."""
        self._spent = max(0.0, self._spent - (now - self._at) * self.bytes_per_s) + size
        self._at = now
        return max(0.0, self._spent / self.bytes_per_s - 1.0)


@dataclass(slots=True)
class Behind:
    """Says whether what is read is older than it has to be.

    The age of what is read is compared with the least one seen, so that neither an engine with another clock nor the
    history that is read first looks like a slow reader.
    """

    most_s: float
    _least_ns: int = field(default=1 << 62)

    def too_far(self, at_ns: int, now_ns: int) -> bool:
        """Take note of a piece written `at_ns`; True when the reader should skip to the end."""
        age = now_ns - at_ns
        self._least_ns = min(self._least_ns, age)
        return age - self._least_ns > self.most_s * SECOND_NS

"""How many refusals an address may cause: who is refused all the time is not even heard after a while.

Every refusal of a signed message costs a verification and a row of the audit log, and nobody needs an account to ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from capabilities.refusal import Refusal

ADDRESSES_MAX = 4096
# One customer of a provider holds that much of IPv6.
PREFIX = 64


def whose(address: str) -> str:
    """Return what is counted: an IPv4 address, the network of an IPv6 address, or the text as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        return str(ip_network((found, PREFIX), strict=False))
    return str(found)


class Patience:
    """A bucket for each address: `burst` refusals at once, `per_s` more each second. Safe between threads."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def check(self, address: str) -> None:
        """Return while the address may ask; Refusal `too_many_refusals` says when it may again."""
        key = whose(address)
        with self._lock:
            left = self._now(key)
        if left < 1:
            wait_s = max(1, int((1 - left) / self._per_s + 0.999))
            raise Refusal(
                "too_many_refusals",
                f"too many messages from {key} have been refused",
                status=429,
                hint=f"wait {wait_s} s; the refusals before said what was missing",
                retry_after_s=wait_s,
            )

    def refused(self, address: str) -> None:
        """Count one refusal."""
        key = whose(address)
        with self._lock:
            self._left[key] = (self._now(key) - 1, self._clock())
            if len(self._left) > ADDRESSES_MAX:
                # The fullest bucket tells the least.
                del self._left[max(self._left, key=lambda one: self._now(one))]

    def _now(self, key: str) -> float:
        left, at = self._left.get(key, (self._burst, self._clock()))
        return min(self._burst, left + (self._clock() - at) * self._per_s)

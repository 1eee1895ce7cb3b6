"""Choosing addresses for a bridge when the engine's own pool is used up. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network


def free_subnet(pool: IPv4Network, prefix: int, taken: Iterable[IPv4Network]) -> IPv4Network | None:
    """Return the first network of length `prefix` in `pool` that overlaps none of `taken`, or None."""
    used = [network for network in taken if network.overlaps(pool)]
    for subnet in pool.subnets(new_prefix=prefix):
        if not any(subnet.overlaps(network) for network in used):
            return subnet
    return None

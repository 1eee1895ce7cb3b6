"""The behaviors of a node: importing this package registers them."""

from node.behaviors import cap, capability, joining, logger, machine, metrics, peers, public, revocation

__all__ = ["cap", "capability", "joining", "logger", "machine", "metrics", "peers", "public", "revocation"]

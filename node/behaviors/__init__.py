"""The behaviors of a node: importing this package registers them."""

from node.behaviors import capability, joining, logger, machine, metrics, peers, public, revocation

__all__ = ["capability", "joining", "logger", "machine", "metrics", "peers", "public", "revocation"]

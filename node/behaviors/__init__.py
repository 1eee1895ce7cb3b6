"""The behaviors of a node: importing this package registers them."""

from node.behaviors import capability, logger, machine, metrics, public

__all__ = ["capability", "logger", "machine", "metrics", "public"]

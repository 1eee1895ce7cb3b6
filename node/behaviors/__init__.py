"""The behaviors of a node: importing this package registers them."""

from node.behaviors import capability, machine, public

__all__ = ["capability", "machine", "public"]

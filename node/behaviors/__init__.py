"""The behaviors of a node: importing this package registers them."""

from node.behaviors import machine, public

__all__ = ["machine", "public"]

"""The behaviors of a node: importing this package registers them."""

from node.behaviors import public

__all__ = ["public"]

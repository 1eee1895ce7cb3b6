"""The behaviors of a node: importing this package registers them."""

from node.behaviors import (
    cap,
    cap_inspect,
    capability,
    joining,
    logger,
    machine,
    metrics,
    peers,
    public,
    revocation,
)

__all__ = [
    "cap",
    "cap_inspect",
    "capability",
    "joining",
    "logger",
    "machine",
    "metrics",
    "peers",
    "public",
    "revocation",
]

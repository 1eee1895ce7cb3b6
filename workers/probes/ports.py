"""Whether something on this host uses a port: by trying to take it, which is what an executor will do."""

from __future__ import annotations

import errno
import socket

_PROBES = (
    (socket.AF_INET, "0.0.0.0"),
    (socket.AF_INET6, "::"),
)


def port_busy(port: int) -> bool:
    """Say whether something holds `port`, TCP or UDP, on any address of either family."""
    return any(
        _taken(family, kind, address, port)
        for family, address in _PROBES
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    )


def _taken(family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int) -> bool:
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                # Connections that have just ended do not hold a port; a listener still does.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        # A family the host does not have, or a port only root may take, is not a port in use.
        return error.errno == errno.EADDRINUSE
    return False

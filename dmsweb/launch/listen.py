"""The site's listening socket. The supervisor holds it, so a restarted web process keeps its visitors waiting
instead of refusing them, and a taken port is one sentence before anything else starts."""

from __future__ import annotations

import errno
import socket

from dmsweb.launch.fault import StartFault


def listening(bind: str, port: int, remembered: int = 0) -> socket.socket:
    """Return a listening socket; `port` 0 takes the remembered port when it is free, else any free one."""
    if port == 0 and remembered:
        try:
            return _bound(bind, remembered)
        except OSError:
            pass
    try:
        return _bound(bind, port)
    except OSError as error:
        raise _fault(bind, port, error) from None


def _bound(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bind, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _fault(bind: str, port: int, error: OSError) -> StartFault:
    if error.errno == errno.EADDRINUSE:
        return StartFault(
            f"port {port} on {bind} is in use",
            "choose another with --port N (or DMS_PORT=N); 0 takes a free one",
        )
    if error.errno == errno.EACCES:
        return StartFault(
            f"port {port} needs more rights than you have", "choose a port above 1023 with --port N"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return StartFault(
            f"{bind} is not an address of this machine", "choose another with --bind, e.g. 127.0.0.1"
        )
    return StartFault(
        f"cannot listen on {bind} port {port}: {error.strerror or error}", "choose another --bind or --port"
    )


def site_url(bind: str, port: int) -> str:
    """Return the address a browser on this machine uses."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)
    return f"http://{host}:{port}"


def reachable(bind: str) -> str:
    """Return the address on which this machine reaches its own listener."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)

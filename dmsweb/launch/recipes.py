"""Which processes a site has, and how each is started."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from capabilities.numbers import NUMBERS
from dmsweb.home import Home
from dmsweb.launch.broker import broker_command, broker_program
from dmsweb.launch.child import Recipe

ALIVE_FILE = "worker.alive"


def site_environment(home: Home, bind: str, port: int) -> dict[str, str]:
    """Return what every process of the site needs to know."""
    hosts = [
        part for part in (os.environ.get("DMS_ALLOWED_HOSTS", ""), bind) if part not in ("", "0.0.0.0", "::")
    ]
    return {
        "DMS_HOME": str(home.root),
        "DMS_PORT": str(port),
        "DMS_ALLOWED_HOSTS": ",".join(hosts),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics_folder(home)),
        "DMS_LOG_FORMAT": os.environ.get("DMS_LOG_FORMAT") or "json",
        "PYTHONUNBUFFERED": "1",
        # glibc makes an arena a thread otherwise: the worker's threads would cost tens of MB.
        "MALLOC_ARENA_MAX": "2",
    }


def metrics_folder(home: Home) -> Path:
    """Return where the processes share what they count."""
    return home.path("run", "metrics")


def broker_recipe(home: Home, environment: dict[str, str]) -> Recipe | None:
    """Return the embedded Redis, or None when the site uses another (REDIS_URL)."""
    if os.environ.get("REDIS_URL") or os.environ.get("REDIS_URL_FILE"):
        return None
    command = broker_command(broker_program(), home, NUMBERS.redis_max_memory_bytes)
    return Recipe("redis", command, environment, home.path("log", "redis.log"))


def web_recipe(home: Home, environment: dict[str, str], listener: socket.socket) -> Recipe:
    """Return the web process on the listening socket."""
    descriptor = listener.fileno()
    return Recipe(
        "web",
        _python("dmsweb.launch.web"),
        {**environment, "DMS_PROCESS": "web", "DMS_LISTEN_FD": str(descriptor)},
        home.path("log", "web.log"),
        wants_keys=True,
        descriptors=(descriptor,),
    )


def worker_recipe(home: Home, environment: dict[str, str], node_id: str) -> Recipe:
    """Return the worker of one node."""
    return Recipe(
        "worker",
        _python("workers.celery_worker"),
        {
            **environment,
            "DMS_PROCESS": "worker",
            "DMS_NODE_ID": node_id,
            "DMS_ALIVE_FILE": str(alive_file(home)),
        },
        home.path("log", "worker.log"),
        wants_keys=True,
    )


def alive_file(home: Home) -> Path:
    """Return the file that a ready worker touches."""
    return home.path("run", ALIVE_FILE)


def _python(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", module]

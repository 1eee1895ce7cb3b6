"""The executors of a node: one instance a process, imported when first asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from django.conf import settings

from workers.executors.base import Availability, Executor

BIND_VARIABLE = "DMS_PORTS_BIND"
BIND_DEFAULT = "0.0.0.0"

_lock = threading.Lock()
_made: dict[tuple[int, str], dict[str, Executor]] = {}


def _docker(node_did: str) -> Executor:
    from workers.executors.docker import DockerExecutor

    bind_address = os.environ.get(BIND_VARIABLE) or BIND_DEFAULT
    return DockerExecutor(node_did, settings.DMS_HOME.root, bind_address=bind_address)


def _process(node_did: str) -> Executor:
    from workers.executors.process import ProcessExecutor

    return ProcessExecutor(node_did, settings.DMS_HOME.root)


MAKERS: dict[str, Callable[[str], Executor]] = {"docker": _docker, "process": _process}


def executors(node_did: str) -> dict[str, Executor]:
    """Return the node's executors by name, whether they can be used now or not.

    One set a process: a forked child makes its own, as connections cannot be shared.
    """
    key = (os.getpid(), node_did)
    with _lock:
        if key not in _made:
            _made[key] = {name: make(node_did) for name, make in MAKERS.items()}
        return _made[key]


def container_name(executor: str, node_did: str, execution_id: str) -> str:
    """Return what the executor's engine calls an execution; its own id where there is no engine."""
    if executor != "docker":
        return execution_id
    from workers.executors.docker.spec import container_name as name

    return name(node_did, execution_id)


def availability_report(node_did: str = "") -> dict[str, Availability]:
    """Return for each executor whether it can be used here, and why not."""
    return {name: executor.availability() for name, executor in executors(node_did).items()}

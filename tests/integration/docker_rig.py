"""A Docker executor of a node of its own on the real engine; everything it made is removed afterwards."""

from __future__ import annotations

import functools
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import pytest
from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.networks import Network

from workers.executors.base import Execution, ExecutionRequest, State
from workers.executors.base_image import REFERENCE
from workers.executors.base_image_files import machine_layer
from workers.executors.docker import DockerExecutor

WAIT_S = 30.0
T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str, wait_s: float = WAIT_S) -> T:
    """Return the first true value of `look()`; fail after `wait_s`."""
    deadline = time.monotonic() + wait_s
    while not (value := look()):
        assert time.monotonic() < deadline, f"not within {wait_s} s: {what}"
        time.sleep(0.02)
    return value


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a port that is free on the host now."""
    with closing(socket.socket(socket.AF_INET, kind)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Rig:
    """One node: its executor, its DID and its home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.node = f"did:key:test-{uuid.uuid4().hex}"
        self.deployment = uuid.uuid4().hex
        self.docker = DockerExecutor(self.node, home, bind_address="127.0.0.1")
        self.notes: list[str] = []

    def request(
        self, *command: str, params: dict[str, Any] | None = None, **changes: Any
    ) -> ExecutionRequest:
        """Return a request to run `command` in the base image."""
        values: dict[str, Any] = {
            "execution_id": uuid.uuid4().hex,
            "allocation_id": f"{self.deployment}_node.alloc",
            "deployment_id": self.deployment,
            "attempt": 1,
            "node_did": self.node,
            "owner_did": "did:key:owner",
            "type": "task",
            "params": {"image": REFERENCE, "cmd": list(command)} | (params or {}),
            "cpu_centicores": 50,
            "ram_bytes": 64 << 20,
            "disk_bytes": 1 << 30,
            "dns_name": "alloc",
            "work_dir": self.home / "work",
            "progress": self.notes.append,
        }
        return ExecutionRequest(**(values | changes))

    def start(self, *command: str, **changes: Any) -> str:
        """Start `command`; return the execution's id."""
        request = self.request(*command, **changes)
        self.docker.start(request)
        return request.execution_id

    def ended(self, execution_id: str) -> Execution:
        """Wait for the end of an execution and return what is known then."""

        def look() -> Execution | None:
            found = self.docker.inspect(execution_id)
            return found if found.state is State.EXITED else None

        found = wait_for(look, f"end of {execution_id}")
        assert found is not None
        return found

    def text(self, execution_id: str, stream: str = "both") -> str:
        """Return the log of an execution as text."""
        return b"".join(self.docker.logs(execution_id, stream=stream)).decode()

    def run(self, *command: str, **changes: Any) -> tuple[Execution, str]:
        """Start `command`, wait for its end; return what is known, and its log."""
        execution_id = self.start(*command, **changes)
        return self.ended(execution_id), self.text(execution_id)

    def running(self, execution_id: str) -> bool:
        """Say whether the execution runs."""
        return self.docker.inspect(execution_id).state is State.RUNNING

    def clean(self, client: DockerClient) -> None:
        """Remove every container and network with the node's label."""
        marks: dict[str, str | list[str] | bool] = {"label": [f"dms.node={self.node}"]}
        for container in client.containers.list(all=True, filters=marks):
            container.remove(force=True, v=True)
        for network in client.networks.list(filters=marks):
            wait_for(functools.partial(_removed, network), f"network {network.name} is removed")


def _removed(network: Network) -> bool:
    """Remove a network; False while the engine is still letting go of its containers."""
    try:
        network.remove()
    except NotFound:
        return True
    except APIError as error:
        if error.status_code == HTTPStatus.FORBIDDEN:  # "has active endpoints"
            return False
        raise
    return True


@pytest.fixture
def rig(docker_client: DockerClient, tmp_path: Path) -> Iterator[Rig]:
    """A node with an empty home."""
    made = Rig(tmp_path)
    yield made
    made.clean(docker_client)


@pytest.fixture
def other(docker_client: DockerClient, tmp_path: Path) -> Iterator[Rig]:
    """A second node on the same engine."""
    made = Rig(tmp_path / "other")
    yield made
    made.clean(docker_client)


@pytest.fixture(scope="module")
def machine_image(docker_client: DockerClient) -> Iterator[str]:
    """The base image as it is on a machine without busybox: the shell, tools and Python of this one."""
    layer = machine_layer()
    assert layer is not None
    name = f"dms-test/machine-{uuid.uuid4().hex}"
    docker_client.api.import_image_from_data(
        layer.tar(), repository=name, tag="1", changes=['CMD ["/bin/sh"]']
    )
    yield f"{name}:1"
    docker_client.images.remove(f"{name}:1", force=True)

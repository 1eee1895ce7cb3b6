"""One node on the real engines, the turns of its worker taken by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest
from docker import DockerClient

from capabilities.models import Identity
from deployments.models import Allocation, Deployment
from deployments.services.advance import deployment_advance
from node.models import Node
from tests.integration.docker_rig import wait_for
from tests.unit.deployments import world
from workers import reconcile, run
from workers.executors import registry
from workers.executors.base import Executor
from workers.executors.base_image import REFERENCE
from workers.hands import Hands
from workers.health.runner import Alarm, Runner

WAIT_S = 60.0


class Here(Hands):
    """Does the work at once, in the caller's thread."""

    def __init__(self) -> None:
        super().__init__("here", limit=1)

    def take(self, key: Hashable, work: Callable[[], object]) -> bool:
        work()
        return True


class Site:
    """One node, its worker's turns taken by hand."""

    def __init__(self, node: Node, owner: Identity | None = None) -> None:
        self.node = node
        self.owner = owner
        self.executors = registry.executors(node.identity.did)
        self.runner = Runner(node.pk, self.executors, hands=Here(), alarm=Alarm())

    @property
    def docker(self) -> Executor:
        return self.executors["docker"]

    def deploy(self, allocations: dict[str, Any], deadline_s: float | None = None, **root: Any) -> Deployment:
        tree = world.ensemble(allocations, **root)
        deployment = world.submit(self.node, self.owner or world.make_owner(), tree, deadline_s=deadline_s)
        deployment_advance(deployment.pk)
        return deployment

    def turn(self) -> None:
        """What a worker does all the time: start what waits, check, collect what has ended."""
        reconcile.take_up(self.node)
        self.runner.turn()
        for row in Allocation.objects.filter(node=self.node, status="running"):
            run.collect(row.execution_id)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def look() -> bool:
            self.turn()
            return condition()

        wait_for(look, what, WAIT_S)


def row(deployment: Deployment, name: str) -> Allocation:
    return deployment.allocations.get(name=name)


def container(*command: str, kind: str = "service", **more: Any) -> dict[str, Any]:
    execution = {"type": "docker", "image": REFERENCE, "cmd": list(command)}
    return world.allocation(kind, executor="docker", execution=execution) | more


@pytest.fixture
def site(docker_client: DockerClient) -> Iterator[Site]:
    made = Site(world.make_node())
    did = made.node.identity.did
    yield made
    for execution in made.docker.executions(did):
        made.docker.remove(execution.execution_id)
    for deployment_id in made.docker.deployments(did):
        with contextlib.suppress(Exception):
            made.docker.remove_deployment(deployment_id)

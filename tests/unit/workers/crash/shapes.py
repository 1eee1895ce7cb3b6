"""The ensembles of the crash test: one of each way in which something is started again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.deployments import world
from workers.executors.base import Cause

LIMIT = {"max": 2, "within": "10m", "backoff": "1s"}
CHECK = {"type": "command", "exec": ["true"], "interval": "1s"}
ENDS = [
    (Cause.COMPLETED, 0),
    (Cause.EXIT_CODE, 1),
    (Cause.OOM_KILLED, 137),
    (Cause.KILLED, 137),
    (Cause.GONE, None),
]


def part(kind: str = "service", policy: str = "", **more: Any) -> dict[str, Any]:
    small = {"cpu": {"cores": 0.2}, "ram": {"size": "64MiB"}, "disk": {"size": "1MiB"}}
    docker = {"type": "docker", "image": "alpine:3"}
    recovery = {"failure_recovery": policy, "restart": LIMIT} if policy else {}
    return world.allocation(kind, executor="docker", execution=docker, resources=small) | recovery | more


def large() -> dict[str, Any]:
    return part("task", resources={"cpu": {"cores": 1.5}, "ram": {"size": 1}, "disk": {"size": 1}})


def with_ports(tree: dict[str, Any]) -> dict[str, Any]:
    tree["nodes"]["here"]["ports"] = [{"public": 0, "private": 80, "allocation": "a"}]
    return tree


SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "one task": lambda: world.ensemble({"a": part("task", retry=1)}),
    "a chain of tasks": lambda: world.ensemble({"a": part("task"), "b": part("task", depends_on=["a"])}),
    "stays down": lambda: world.ensemble({"a": part(healthcheck=CHECK), "b": part("task")}),
    "one for one": lambda: with_ports(
        world.ensemble({"a": part(policy="one_for_one", healthcheck=CHECK), "b": part()})
    ),
    "one for all": lambda: with_ports(
        world.ensemble(
            {
                "a": part(policy="one_for_all", healthcheck=CHECK),
                "b": part(policy="one_for_all", depends_on=["a"]),
            }
        )
    ),
    "rest for one": lambda: world.ensemble(
        {
            "a": part(policy="rest_for_one"),
            "b": part("task", "rest_for_one", depends_on=["a"]),
            "c": part(policy="rest_for_one", depends_on=["a"]),
        }
    ),
    "supervised": lambda: world.ensemble(
        {"a": part(restart=LIMIT), "b": part(depends_on=["a"], restart=LIMIT), "c": part(restart=LIMIT)},
        supervisor={
            "strategy": "AllForOne",
            "allocations": ["c"],
            "children": [{"strategy": "RestForOne", "allocations": ["a", "b"]}],
        },
        escalation_strategy="teardown",
    ),
    "waits for room": lambda: world.ensemble({"a": large()}),
}

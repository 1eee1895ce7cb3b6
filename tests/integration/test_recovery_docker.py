"""A real container fails, in each way there is, under each policy and strategy: exactly the right ones restart.

Every ensemble has a chain a <- b <- c, of which b fails, and somebody who is not concerned. What is shown of it is what
the owner sees: attempts, timeline, page.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from docker import DockerClient

from capabilities.services import identity_for_user
from deployments import states
from deployments.models import Allocation, AllocationAttempt, Deployment
from dmsweb.accounts.services import user_create
from tests.integration.docker_rig import wait_for
from tests.integration.turns import Site, container, row, site
from workers.executors.base import Execution, State
from workers.executors.registry import container_name

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["site"]

# It serves, and does as it is told by a file.
LINE = """
mkdir -p /tmp/w; echo ok > /tmp/w/health; httpd -f -p 8080 -h /tmp/w & echo $! > /tmp/pid
while true; do
    if [ -e /tmp/exit ]; then exit 3; fi
    if [ -e /tmp/eat ]; then x=aaaaaaaa; while true; do x=$x$x; done; fi
    sleep 0.2
done
"""
CHECK = {
    "type": "http",
    "endpoint": "/health",
    "port": 8080,
    "interval": "500ms",
    "timeout": "1s",
    "retries": 2,
}
OFTEN = {"max": 20, "backoff": "100ms", "backoff_max": "100ms"}
SMALL = {"cpu": {"cores": 0.1}, "ram": {"size": "32MiB"}, "disk": {"size": "16MiB"}}
# How it fails: what is done inside (nothing: it is killed from outside), the cause, and a word of the sentence.
FAILURES = {
    "exits": ("touch /tmp/exit", "exit_code", "exit code 3"),
    "hangs": ("kill -STOP $(cat /tmp/pid)", "unhealthy", "no answer within 1"),
    "is ill": ("rm /tmp/w/health", "unhealthy", "404"),
    "eats memory": ("touch /tmp/eat", "oom_killed", "killed for memory"),
    "is killed": ("", "killed", "SIGKILL"),
}
ONE, ALL, REST = ("b",), ("a", "b", "c"), ("b", "c")


def serving(**more: Any) -> dict[str, Any]:
    return container("sh", "-c", LINE, healthcheck=CHECK, resources=SMALL, restart=OFTEN) | more


def chain(**more: Any) -> dict[str, Any]:
    return {
        "a": serving(**more),
        "b": serving(depends_on=["a"], **more),
        "c": serving(depends_on=["b"], **more),
    }


def by_policy(policy: str) -> dict[str, Any]:
    """The bystander has the same policy, on another ensemble node: policies act within one."""
    tree = chain(failure_recovery=policy) | {"by": serving(failure_recovery=policy)}
    nodes = {"here": {"allocations": ["a", "b", "c"]}, "there": {"allocations": ["by"]}}
    return {"allocations": tree, "nodes": nodes}


def by_supervisor(strategy: str) -> dict[str, Any]:
    """The bystander is in a group beside."""
    children = [
        {"strategy": strategy, "allocations": ["a", "b", "c"]},
        {"strategy": "AllForOne", "allocations": ["by"]},
    ]
    return {
        "allocations": chain() | {"by": serving()},
        "supervisor": {"strategy": "OneForOne", "children": children},
    }


def fail(site: Site, engine: DockerClient, victim: Allocation, how: str) -> None:
    inside = FAILURES[how][0]
    if inside:
        site.docker.run_inside(victim.execution_id, ["sh", "-c", inside], timeout_s=60, max_bytes=99)
    else:
        name = container_name("docker", site.node.identity.did, victim.execution_id)
        engine.containers.get(name).kill()


def rows_of(deployment: Deployment) -> dict[str, Allocation]:
    return {one.name: one for one in deployment.allocations.all()}


def attempt_of(one: Allocation, number: int) -> AllocationAttempt:
    return one.attempts.get(number=number)


def running(site: Site, deployment: Deployment) -> dict[str, Execution]:
    found = site.docker.executions(site.node.identity.did)
    return {
        one.allocation_id.rpartition(".")[2]: site.docker.inspect(one.execution_id)
        for one in found
        if one.deployment_id == deployment.pk
    }


def well(deployment: Deployment) -> bool:
    deployment.refresh_from_db()
    rows = rows_of(deployment).values()
    return deployment.status == states.RUNNING and all(
        one.status == "running" and one.health == "healthy" for one in rows
    )


def moment(value: datetime | None) -> datetime:
    assert value is not None
    return value


def in_order(
    before: dict[str, Allocation], again: dict[str, AllocationAttempt], began: dict[str, datetime]
) -> None:
    """The group was stopped from its end, and started from its beginning once all of it was down, each when the one
    before was healthy.
    """
    ends = {
        name: moment(attempt_of(one, one.attempt).ended_at) for name, one in before.items() if name in again
    }
    started = [began[name] for name in sorted(again)]
    assert all(first < second for first, second in pairwise(started)), started
    for first, second in pairwise(sorted(again)):
        told = again[first].allocation.events.filter(
            kind="health", data__health="healthy", at__gte=began[first]
        )
        assert moment(told.values_list("at", flat=True).first()) < began[second], (first, second)
    assert max(ends.values()) <= min(started), (ends, started)
    stopped = [ends[name] for name in sorted(again, reverse=True) if name != "b"]
    assert stopped == sorted(stopped), ends


@pytest.fixture
def owner(site: Site) -> Client:
    """Who deploys here, at her browser."""
    person = user_create("alice")
    site.owner = identity_for_user(person)
    client = Client()
    client.force_login(person)
    return client


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param(by_policy("one_for_one"), ONE, id="one_for_one"),
        pytest.param(by_policy("one_for_all"), ALL, id="one_for_all"),
        pytest.param(by_policy("rest_for_one"), REST, id="rest_for_one"),
        pytest.param(by_supervisor("OneForOne"), ONE, id="OneForOne"),
        pytest.param(by_supervisor("AllForOne"), ALL, id="AllForOne"),
        pytest.param(by_supervisor("RestForOne"), REST, id="RestForOne"),
    ],
)
def test_exactly_the_right_ones_restart_in_order_with_the_reason(
    site: Site, docker_client: DockerClient, owner: Client, tree: dict[str, Any], expected: tuple[str, ...]
) -> None:
    deployment = site.deploy(**tree)
    site.until(lambda: well(deployment), "everything is healthy")
    for how, (_, cause, words) in FAILURES.items():
        before, ran = rows_of(deployment), running(site, deployment)
        fail(site, docker_client, before["b"], how)
        site.until(lambda: row(deployment, "b").attempt > before["b"].attempt, f"b {how}")  # noqa: B023
        site.until(lambda: well(deployment), f"everything is healthy again after b {how}")
        after, runs = rows_of(deployment), running(site, deployment)

        restarted = tuple(name for name in "abc" if after[name].attempt == before[name].attempt + 1)
        assert restarted == expected, how
        left = {name for name in after if name not in expected}
        assert {name: ran[name] for name in left} == {name: runs[name] for name in left}, how
        assert all(after[name].attempt == before[name].attempt for name in left)
        assert len(runs) == 4 and all(one.state is State.RUNNING for one in runs.values())

        ended = attempt_of(before["b"], before["b"].attempt)
        assert (ended.cause, words in ended.detail) == (cause, True), ended.detail
        again = {name: attempt_of(after[name], after[name].attempt) for name in expected}
        assert again["b"].why.startswith(f"{cause}: "), again["b"].why
        others = {name: one.why for name, one in again.items() if name != "b"}
        assert others == dict.fromkeys(others, f"with {after['b']}: {cause}")
        assert {attempt_of(before[name], before[name].attempt).cause for name in others} <= {"stopped"}
        in_order(before, again, {name: moment(one.started_at) for name, one in runs.items()})

    page = owner.get(f"/deployments/{deployment.pk}/").content.decode()
    attempts = owner.get(f"/api/v1/allocations/{after['b'].pk}/attempts/").json()["items"]
    causes = [cause for _, cause, _ in FAILURES.values()]
    assert [one["cause"] for one in reversed(attempts)] == [*causes, ""]
    for _, cause, words in FAILURES.values():
        told = deployment.events.filter(kind="recovery", allocation=after["b"], text__contains=cause)
        assert any(f"{after['b']} is restarted in 0.1 s: {cause}: " in one.text for one in told), cause
        assert any(words in one.text for one in told), words
        assert words in page


def test_who_stays_down_takes_nobody_along(site: Site, docker_client: DockerClient) -> None:
    names = [name.replace(" ", "-") for name in FAILURES]
    tree = {name: serving(failure_recovery="stay_down", restart=None) for name in [*names, "by"]}
    for one in tree.values():
        del one["restart"]
    deployment = site.deploy(tree)
    site.until(lambda: well(deployment), "everything is healthy")
    ran = running(site, deployment)
    before = rows_of(deployment)
    for name, how in zip(names, FAILURES, strict=True):
        fail(site, docker_client, before[name], how)
    site.until(
        lambda: deployment.allocations.filter(status="failed").count() == len(names),
        "each has failed in its way",
    )
    wait_for(lambda: set(running(site, deployment)) == {"by"}, "their containers are gone")
    after = rows_of(deployment)
    assert running(site, deployment)["by"] == ran["by"]
    assert {one.attempt for one in after.values()} == {1}
    for name, (_, cause, words) in zip(names, FAILURES.values(), strict=True):
        assert (after[name].reason, words in after[name].detail) == (cause, True), after[name].detail
        assert deployment.events.filter(
            kind="allocation", allocation=after[name], text__contains=cause
        ).exists()
    deployment.refresh_from_db()
    assert deployment.status == states.RUNNING

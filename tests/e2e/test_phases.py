"""A deployment that is stopped, or whose deadline passes, frees all it held, whatever phase it is in."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import docker
import httpx
import pytest

from tests.e2e import working
from tests.integration.docker_registry import push, registry, relay
from tests.support.require import require
from tests.support.services import wait_for
from tests.support.site import Site, running_site

pytestmark = [pytest.mark.xdist_group("phases"), pytest.mark.timeout(300)]

PORTS = [{"public": 0, "private": 80}]


@pytest.fixture(scope="module")
def live() -> Iterator[Site]:
    for name in ("assets", "docker", "bwrap"):
        require(name)
    with running_site() as site:
        site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
        yield site


@pytest.fixture(scope="module")
def slow_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image whose pull takes many minutes."""
    require("registry")
    client = docker.from_env()
    with registry(tmp_path_factory.mktemp("registry")) as store, relay(store.port, 1 << 14) as slow:
        push(client, f"{store.host}/slow:1", size=16 << 20)
        yield f"{slow.host}/slow:1"
    client.close()


def slow_pull(image: str) -> dict[str, Any]:
    return working.ensemble("sleep 600", image=image, ports=PORTS)


def slow_script() -> dict[str, Any]:
    tree = working.ensemble("sleep 600", executor="process", provision=["slow"])
    return tree | {"scripts": {"slow": "#!/bin/sh\nsleep 600\n"}}


def held(site: Site) -> int:
    """Return how many ports are held."""
    headers = {"Authorization": f"Bearer {site.token}"}
    answer = httpx.get(f"{site.url}/api/v1/ports/", headers=headers, trust_env=False).raise_for_status()
    return int(answer.json()["total"])


def nothing_is_left(site: Site, *deployments: str) -> None:
    resources = site.json("resources")
    assert resources["free"] == resources["onboarded"]
    assert held(site) == 0
    for deployment in deployments:
        assert working.containers(deployment) == []
        wait_for(partial(working.no_network, deployment), what=f"no network of {deployment}")
    assert not any((site.home / "work" / "process").glob("*/*"))


def starting(site: Site, deployment: str) -> bool:
    """Say whether a worker is at the start of the deployment's allocation."""
    shown = working.info(site, deployment)
    assert shown["Status"] in {"Preparing", "Committing", "Provisioning"}, shown
    return any(item["progress"] for item in shown["Allocations"])


def test_a_shutdown_before_anything_was_placed(live: Site) -> None:
    pid = int(working.process(live, "worker")["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        deployment = working.deploy(live, working.ensemble("sleep 600", ports=PORTS))
        working.call(live, "shutdown", ID=deployment)
        assert working.info(live, deployment)["Status"] == "Preparing"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert working.reached(live, deployment, "Completed")["Allocations"] == []
    nothing_is_left(live, deployment)


def test_shutdowns_while_provisioning(live: Site, slow_image: str) -> None:
    both = [working.deploy(live, tree) for tree in (slow_pull(slow_image), slow_script())]
    for deployment in both:
        wait_for(partial(starting, live, deployment), what="the start")
    assert held(live) == 1
    working.shut_down(live, *both)
    for deployment in both:
        assert working.allocation(live, deployment)["status"] == "terminated"
    nothing_is_left(live, *both)


def test_a_deadline_while_provisioning_is_the_reason(live: Site, slow_image: str) -> None:
    both = [working.deploy(live, tree, DeadlineSeconds=3) for tree in (slow_pull(slow_image), slow_script())]
    for deployment in both:
        shown = working.reached(live, deployment, "Failed")
        assert shown["Reason"].startswith("the deadline passed while Provisioning: waited for here.one (")
    nothing_is_left(live, *both)


def test_slow_starts_never_keep_a_quick_one_or_a_shutdown_waiting(live: Site, slow_image: str) -> None:
    slow = [working.deploy(live, slow_pull(slow_image)) for _ in range(17)]
    for deployment in slow:
        wait_for(partial(starting, live, deployment), what="the pull")
    quick = working.deploy(live, working.ensemble("true", kind="task", executor="process"))
    working.reached(live, quick, "Completed")
    working.shut_down(live, *slow)
    nothing_is_left(live, *slow)


def test_a_shutdown_while_running(live: Site) -> None:
    both = [
        working.deploy(live, working.ensemble("sleep 600", ports=PORTS)),
        working.deploy(live, working.ensemble("sleep 600", executor="process")),
    ]
    for deployment in both:
        working.reached(live, deployment, "Running")
    assert held(live) == 1
    working.shut_down(live, *both)
    nothing_is_left(live, *both)

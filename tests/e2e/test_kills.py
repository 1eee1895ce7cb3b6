"""Whatever is killed, the rows say what is to be done: work goes on, and what runs is taken over, never doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.e2e import working
from tests.integration.docker_registry import push, registry, relay
from tests.support.require import require
from tests.support.services import wait_for
from tests.support.site import Site, running_site

pytestmark = [pytest.mark.xdist_group("kills"), pytest.mark.timeout(300)]

CROWD = 24


@pytest.fixture(scope="module")
def live() -> Iterator[Site]:
    for name in ("assets", "docker", "bwrap"):
        require(name)
    with running_site() as site:
        site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
        yield site


@pytest.fixture(scope="module")
def services(live: Site) -> dict[str, str]:
    """One service in a container, one in a sandbox: deployment by executor; they run through all the kills."""
    found = {
        name: working.deploy(live, working.ensemble("sleep 600", executor=name))
        for name in ("docker", "process")
    }
    for deployment in found.values():
        working.reached(live, deployment, "Running")
    return found


def unharmed(site: Site, services: dict[str, str]) -> dict[str, object]:
    """Return by what one would notice that a service had been started again."""
    state: dict[str, object] = {"containers": working.containers(services["docker"])}
    for deployment in services.values():
        shown = working.info(site, deployment)
        (allocation,) = shown["Allocations"]
        assert (shown["Status"], allocation["status"], allocation["attempt"]) == ("Running", "running", 1)
        state[deployment] = (allocation["execution_id"], allocation["started_at"])
    return state


def test_a_killed_worker_is_replaced_and_loses_nothing(
    live: Site, services: dict[str, str], tmp_path: Path
) -> None:
    require("registry")
    before = unharmed(live, services)
    client = docker.from_env()
    ending = working.deploy(live, working.ensemble("echo begun; sleep 5; echo done; exit 5", kind="task"))
    working.reached(live, ending, "Running")
    with registry(tmp_path) as store, relay(store.port, 2 << 20) as slow:
        push(client, f"{store.host}/app:1", size=6 << 20)
        tree = working.ensemble(["/no-such-program"], image=f"{slow.host}/app:1")
        pulling = working.deploy(live, tree)
        wait_for(
            lambda: any("image" in row["progress"] for row in working.info(live, pulling)["Allocations"]),
            what="the pull",
        )
        pid = working.kill(live, "worker")
        client.containers.get(working.containers(ending)[0]).wait()  # it ends while no worker lives
        submitted = working.deploy(live, working.ensemble("true", kind="task", executor="process"))
        working.replaced(live, "worker", pid)
        working.reached(live, submitted, "Completed")
        failed = working.reached(live, pulling, "Failed")
        (pulled,) = failed["Allocations"]
        assert (pulled["reason"], pulled["attempt"]) == ("start_failed", 1), pulled
        client.images.remove(f"{slow.host}/app:1", force=True)
    client.close()
    (ended,) = working.reached(live, ending, "Failed")["Allocations"]
    assert (ended["reason"], ended["exit_code"], ended["attempt"]) == ("exit_code", 5, 1)
    assert live.cli("logs", ending).stdout == "begun\ndone\n"
    assert unharmed(live, services) == before


def test_a_killed_broker_loses_wake_ups_and_no_work(live: Site, services: dict[str, str]) -> None:
    before = unharmed(live, services)
    pid = working.kill(live, "redis")
    submitted = [
        working.deploy(live, working.ensemble("true", kind="task", executor="process")) for _ in range(3)
    ]
    working.replaced(live, "redis", pid)
    for deployment in submitted:
        working.reached(live, deployment, "Completed")
    assert unharmed(live, services) == before


def test_a_worker_killed_while_it_stops_a_crowd_leaves_nobody_behind(live: Site) -> None:
    names = [f"a{number}" for number in range(CROWD)]
    one = working.ensemble("sleep 600", executor="process")["allocations"]["one"]
    one["resources"]["cpu"]["cores"] = 0.01
    tree = {"allocations": dict.fromkeys(names, one), "nodes": {"here": {"allocations": names}}}
    deployment = working.deploy(live, tree)
    shown = working.reached(live, deployment, "Running")
    assert {item["status"] for item in shown["Manifest"]["allocations"].values()} == {"running"}
    working.call(live, "shutdown", ID=deployment)
    wait_for(
        lambda: any(item["status"] == "terminated" for item in working.info(live, deployment)["Allocations"]),
        what="the first that is stopped",
    )
    working.replaced(live, "worker", working.kill(live, "worker"))
    ended = working.reached(live, deployment, "Completed")["Allocations"]
    assert [item["status"] for item in ended] == ["terminated"] * CROWD
    assert {item["attempt"] for item in ended} == {1}


def test_services_outlive_the_site_and_are_taken_over(live: Site, services: dict[str, str]) -> None:
    before = unharmed(live, services)
    live.cli("down")
    assert working.containers(services["docker"]) == before["containers"]
    live.up()
    assert unharmed(live, services) == before
    working.shut_down(live, *services.values())
    assert working.containers(services["docker"]) == []
    wait_for(lambda: not working.networks(services["docker"]), what="the network's removal")

"""Every example that needs no registry, deployed as it is shipped: it reaches the state that it promises."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.envelopes import client_of
from tests.support.owner import node_settings
from tests.support.require import ROOT, require
from tests.support.site import Site

EXAMPLES = ROOT / "examples"
# Their images come from a registry, or they need what this machine may lack.
ELSEWHERE = {"gpu", "udp"}
WAIT_S = 60.0


@pytest.fixture(scope="module")
def onboarded(site: Site) -> Site:
    require("docker")
    site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "10GiB", "--no-gpu")
    return site


@pytest.fixture
def deploy(onboarded: Site) -> Iterator[Any]:
    """Deploy an example, wait for what it promises, and leave nothing running."""
    made: list[str] = []

    def run(name: str, *, wanted: str) -> dict[str, Any]:
        answer = onboarded.json("deploy", "-f", str(EXAMPLES / f"{name}.yaml"), "--wait", check=False)
        made.append(answer["id"])
        shown: dict[str, Any] = onboarded.json("show", answer["id"])
        assert answer["status"] == wanted, (answer, [event["text"] for event in shown["events"]])
        return shown

    yield run
    for key in made:
        onboarded.cli("shutdown", key, "--wait", check=False)
    left = onboarded.json("resources")
    assert left["free"] == left["onboarded"]


def allocations(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["name"].rpartition(".")[2]: item for item in shown["allocations"]}


def log_of(site: Site, shown: dict[str, Any], name: str) -> str:
    found = allocations(shown)[name]
    with client_of(site, site.token) as http:
        return http.get(f"/allocations/{found['id']}/logs").raise_for_status().text


def settled(site: Site, key: str, name: str) -> dict[str, Any]:
    """Wait until the allocation has ended and return it."""
    limit = time.monotonic() + WAIT_S
    while True:
        found = allocations(site.json("show", key))[name]
        if found["status"] not in ("pending", "committed", "provisioning", "starting", "running"):
            return found
        assert time.monotonic() < limit, found
        time.sleep(0.2)


def test_every_example_is_valid_and_accounted_for(onboarded: Site) -> None:
    names = {file.stem for file in EXAMPLES.glob("*.yaml")}
    tested = {"hello", "hello-process", "two-services", "volumes", "web-and-client", "multi-node"}
    assert names == tested | ELSEWHERE
    for name in sorted(names):
        assert onboarded.json("validate", str(EXAMPLES / f"{name}.yaml"))["valid"], name


@pytest.mark.parametrize("name", ["hello", "hello-process"])
def test_hello_says_hello(onboarded: Site, deploy: Any, name: str) -> None:
    if name == "hello-process":
        require("bwrap")
    shown = deploy(name, wanted="Completed")
    assert "hello from" in log_of(onboarded, shown, "hello")


def test_volumes_carry_a_file_from_one_task_to_the_next(onboarded: Site, deploy: Any) -> None:
    shown = deploy("volumes", wanted="Completed")
    assert {item["exit_code"] for item in shown["allocations"]} == {0}
    assert "written" in log_of(onboarded, shown, "writer")
    assert log_of(onboarded, shown, "reader").strip()


def test_the_two_services_answer_on_ports_of_their_own(deploy: Any) -> None:
    shown = deploy("two-services", wanted="Running")
    found = allocations(shown)
    ports = {name: public_port(item) for name, item in found.items()}
    assert set(ports) == {"blue", "green"}
    assert ports["blue"] != ports["green"]
    assert {item["health"] for item in found.values()} == {"healthy"}
    for port in ports.values():
        assert answered(port, "/hostname").strip()


def test_the_client_fetches_the_servers_page(onboarded: Site, deploy: Any) -> None:
    shown = deploy("web-and-client", wanted="Running")
    assert allocations(shown)["server"]["health"] == "healthy"
    client = settled(onboarded, shown["id"], "client")
    assert (client["status"], client["exit_code"]) == ("completed", 0), log_of(onboarded, shown, "client")
    assert "hello from the server" in log_of(onboarded, shown, "client")
    assert "hello from the server" in answered(public_port(allocations(shown)["server"]), "/")
    assert onboarded.json("show", shown["id"])["status"] == "Running"


def test_a_node_without_a_location_is_not_where_it_is_accepted(deploy: Any) -> None:
    shown = deploy("multi-node", wanted="Failed")
    assert "Europe or North America" in shown["reason"]


def test_both_nodes_run_where_the_owner_has_said_where_it_is(onboarded: Site, deploy: Any) -> None:
    node_settings(onboarded, location={"continent": "Europe"})
    shown = deploy("multi-node", wanted="Running")
    assert {item["name"] for item in shown["allocations"]} == {"edge.front", "core.worker"}
    assert answered(public_port(allocations(shown)["front"]), "/hostname").strip()


def public_port(item: dict[str, Any]) -> int:
    (port,) = (
        item["ports"].keys() if isinstance(item["ports"], dict) else [p["public"] for p in item["ports"]]
    )
    return int(port)


def answered(port: int, path: str) -> str:
    """Return the page that a started server gives, once it has opened its port."""
    limit = time.monotonic() + WAIT_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10, trust_env=False).text
        except (OSError, httpx.HTTPError):
            assert time.monotonic() < limit
            time.sleep(0.2)

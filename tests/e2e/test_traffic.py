"""What goes in and out of a running allocation: its ports, its log as it is written, and its disk."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.e2e import working
from tests.integration.docker_rig import free_port, machine_image
from tests.support.require import ROOT, require
from tests.support.services import wait_for
from tests.support.site import Site, running_site

__all__ = ["machine_image"]  # a fixture

pytestmark = [pytest.mark.xdist_group("traffic"), pytest.mark.timeout(300)]

UDP_ECHO = (
    "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 9000))\n"
    "while True: s.sendto(*s.recvfrom(999))"
)


@pytest.fixture(scope="module")
def live() -> Iterator[Site]:
    for name in ("assets", "docker"):
        require(name)
    # Often enough that a test need not wait for the usual turn.
    with running_site({"DMS_DISK_CHECK_S": "1"}) as site:
        site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
        yield site


def public(site: Site, deployment: str) -> int:
    """Return the port of the host that leads to the deployment's first published one."""
    rows = working.info(site, deployment)["Allocations"]
    return int(next(port["public"] for row in rows for port in row["ports"]))


def test_a_drawn_port_leads_to_the_server(live: Site) -> None:
    text = (ROOT / "examples" / "web-and-client.yaml").read_text()
    deployment = str(working.call(live, "new", Ensemble=text)["EnsembleID"])
    working.reached(live, deployment, "Running")
    url = f"http://127.0.0.1:{public(live, deployment)}/"

    def answer() -> str:
        try:
            return httpx.get(url, timeout=2, trust_env=False).text
        except httpx.HTTPError:
            return ""

    assert wait_for(answer, what=url) == "hello from the server\n"
    working.shut_down(live, deployment)
    assert answer() == ""


def test_a_port_that_is_taken_on_the_host_is_refused_by_its_number(live: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        tree = working.ensemble("sleep 600", ports=[{"public": port, "private": 80}])
        shown = working.reached(live, working.deploy(live, tree), "Failed")
        assert shown["Allocations"] == []
        assert "not placed" in shown["Reason"] and str(port) in shown["Reason"]
        assert any(str(port) in reason["message"] for reason in shown["Reasons"])
    again = working.deploy(live, tree)
    working.reached(live, again, "Running")
    assert public(live, again) == port
    refused = working.reached(live, working.deploy(live, tree), "Failed")
    assert str(port) in refused["Reason"]
    working.shut_down(live, again)


def test_datagrams_come_back(live: Site, machine_image: str) -> None:  # noqa: F811
    port = free_port(socket.SOCK_DGRAM)
    for wanted in (port, 0):
        tree = working.ensemble(
            ["python3", "-c", UDP_ECHO],
            image=machine_image,
            ports=[{"public": wanted, "private": 9000, "protocol": "udp"}],
        )
        deployment = working.deploy(live, tree)
        shown = working.reached(live, deployment, "Running")
        number = public(live, deployment)
        assert number == wanted or not wanted, shown

        def echoed(number: int = number) -> bool:
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
                sender.settimeout(0.5)
                sender.sendto(b"ping", ("127.0.0.1", number))
                try:
                    return sender.recv(99) == b"ping"
                except OSError:
                    return False

        wait_for(echoed, what=f"the echo from port {number}")
        working.shut_down(live, deployment)


def test_a_followed_log_shows_lines_as_they_come_and_ends_with_the_task(live: Site) -> None:
    command = "echo first; while ! [ -e /tmp/go ]; do sleep 0.1; done; echo last"
    deployment = working.deploy(live, working.ensemble(command, kind="task"))
    # Follows from before the start on.
    wait_for(lambda: working.info(live, deployment)["Allocations"], what="the allocation")
    follower = subprocess.Popen(
        [str(ROOT / "dms"), "logs", deployment, "--follow"],
        env={**os.environ, "DMS_HOME": str(live.home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    with follower:
        assert follower.stdout.readline() == "first\n"
        assert working.info(live, deployment)["Status"] == "Running"
        (container,) = working.containers(deployment)
        subprocess.run(["docker", "exec", container, "touch", "/tmp/go"], check=True)
        assert follower.stdout.readline() == "last\n"
        assert follower.stdout.read() == ""
        assert follower.wait(30) == 0
    working.reached(live, deployment, "Completed")
    assert live.cli("logs", deployment).stdout == "first\nlast\n"
    assert live.cli("logs", deployment, "--follow").stdout == "first\nlast\n"


def test_who_writes_more_than_was_granted_is_ended_for_that(live: Site) -> None:
    command = "dd if=/dev/zero of=/tmp/much bs=1M count=96; sleep 600"
    deployment = working.deploy(live, working.ensemble(command, disk="64MiB"))
    (row,) = working.reached(live, deployment, "Failed")["Allocations"]
    assert (row["status"], row["reason"]) == ("failed", "disk_limit")
    assert f"{64 << 20} were granted" in row["detail"]
    assert working.containers(deployment) == []

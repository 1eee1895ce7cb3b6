"""A site starts, restarts what dies, stops within its time, and starts again whatever was left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmsweb.home import Home
from dmsweb.launch import table
from tests.support.require import require
from tests.support.services import wait_for
from tests.support.site import Site, running_site

pytestmark = [pytest.mark.xdist_group("site-lifecycle"), pytest.mark.timeout(300)]

STOP_LIMIT_S = 10


@pytest.fixture(scope="module", autouse=True)
def needs() -> None:
    require("assets")


@pytest.fixture(scope="module")
def live() -> Iterator[Site]:
    with running_site() as running:
        yield running


def processes(site: Site) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in site.json("status")["processes"]}


def alive(pid: int) -> bool:
    return table.start_ticks(pid) is not None


def test_the_first_start_tells_the_admin_password_once(live: Site) -> None:
    assert "password:" in live.first_output
    status = live.json("status")
    assert status["ready"]
    assert status["did"].startswith("did:key:")
    assert status["home"] == str(live.home)
    assert {entry["name"] for entry in status["processes"]} == {"supervisor", "redis", "web", "worker"}
    assert all(entry["pss_bytes"] > 0 and entry["state"] == "running" for entry in status["processes"])


def test_another_up_says_that_it_runs(live: Site) -> None:
    before = processes(live)
    assert "already running" in live.up().stdout
    assert processes(live) == {**before} or {n: e["pid"] for n, e in processes(live).items()} == {
        name: entry["pid"] for name, entry in before.items()
    }


def test_secrets_are_their_owners_alone(live: Site) -> None:
    for path in [*(live.home / "secrets").iterdir(), *(live.home / "key").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_keys_are_in_no_environment_and_no_argument(live: Site) -> None:
    passphrase = (live.home / "secrets" / "passphrase").read_text().strip()
    for entry in processes(live).values():
        for part in ("environ", "cmdline"):
            content = Path(f"/proc/{entry['pid']}/{part}").read_text()
            assert passphrase not in content
            assert "080112" not in content  # the beginning of a marshalled private key


@pytest.mark.parametrize("name", ["web", "worker", "redis"])
def test_a_killed_process_is_started_again_and_shown(live: Site, name: str) -> None:
    before = processes(live)[name]
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        entry = processes(live)[name]
        return bool(entry["restarts"] > before["restarts"] and entry["state"] == "running")

    wait_for(back, what=f"the restart of {name}", every_s=0.2)
    assert processes(live)[name]["pid"] != before["pid"]
    wait_for(lambda: live.json("status")["ready"], what="readiness", every_s=0.2)


def test_visitors_wait_while_the_web_process_restarts(live: Site) -> None:
    os.kill(processes(live)["web"]["pid"], signal.SIGKILL)
    with urllib.request.urlopen(f"{live.url}/livez", timeout=30) as answer:
        assert answer.status == 200


def test_sigterm_stops_everything_within_its_time_and_the_next_start_keeps_the_port() -> None:
    with running_site() as site:
        url = site.url
        pids = [entry["pid"] for entry in processes(site).values()]
        begun = time.monotonic()
        os.kill(site.document["pid"], signal.SIGTERM)
        wait_for(
            lambda: not any(alive(pid) for pid in pids),
            timeout_s=STOP_LIMIT_S,
            what="the end of all processes",
        )
        assert time.monotonic() - begun < STOP_LIMIT_S
        status = site.json("status")
        assert (status["ready"], status["processes"]) == (False, [])
        assert status["did"]
        second = site.up().stdout
        assert site.url == url
        assert "password:" not in second


def test_a_killed_supervisor_leaves_nobody_and_does_not_block_the_next_start() -> None:
    with running_site() as site:
        pids = [entry["pid"] for entry in processes(site).values()]
        os.kill(site.document["pid"], signal.SIGKILL)
        wait_for(lambda: not any(alive(pid) for pid in pids), what="the end of all processes")
        assert (site.home / "run" / "site.json").exists()
        assert not site.json("status")["running"]
        site.up()
        assert site.json("status")["ready"]


def test_a_stale_pid_file_and_socket_do_not_block_a_start() -> None:
    with running_site(start=False) as site:
        home = Home(site.home)
        home.create()
        (site.home / "run" / "supervisor.lock").write_text("1\n")
        table.write_json(
            site.home / "run" / "site.json", {"url": "http://127.0.0.1:1", "pid": 1, "ready": True}
        )
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(home.socket("redis.sock")))
        site.up()
        assert site.json("status")["ready"]
        assert json.loads((site.home / "run" / "site.json").read_text())["pid"] != 1


def test_two_sites_live_side_by_side(live: Site) -> None:
    with running_site() as other:
        assert other.url != live.url
        one, two = live.json("status"), other.json("status")
        assert one["ready"] and two["ready"]
        assert one["did"] != two["did"]
        assert live.token != other.token
        other.cli("down")
        assert live.json("status")["ready"]

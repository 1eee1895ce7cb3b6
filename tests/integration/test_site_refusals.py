"""Why a site does not start: one clear sentence each, and nothing left running."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support.require import require
from tests.support.site import Site, running_site

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def site() -> Iterator[Site]:
    require("assets")
    with running_site(start=False) as site:
        yield site


def refusal(site: Site, *args: str) -> dict[str, str]:
    done = site.cli("up", "--detach", *args, "--json", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    problem: dict[str, str] = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    assert not site.json("status")["running"]
    return problem


def test_port_in_use(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        problem = refusal(site, "--port", str(port))
    assert problem["detail"] == f"port {port} on 127.0.0.1 is in use"
    assert "--port" in problem["hint"]


def test_a_home_that_cannot_be_written(site: Site) -> None:
    site.home.write_text("a file, not a folder")
    try:
        problem = refusal(site, "--port", "0")
        assert f"the home {site.home} cannot be written" in problem["detail"]
        assert "DMS_HOME" in problem["hint"]
    finally:
        site.home.unlink()


def test_no_free_disk(site: Site) -> None:
    site.environment = {"DMS_HOME_MIN_FREE_BYTES": str(1 << 60)}
    problem = refusal(site, "--port", "0")
    assert "MiB are free on the disk of" in problem["detail"]


def test_no_redis(site: Site) -> None:
    site.environment = {"REDIS_URL": "unix:///nowhere/redis.sock", "DMS_READY_TIMEOUT_S": "5"}
    assert "not ready after 5 s" in refusal(site, "--port", "0")["detail"]


def test_a_setting_that_is_no_number(site: Site) -> None:
    site.environment = {"DMS_REDIS_MAX_MEMORY_BYTES": "plenty"}
    done = site.cli("up", "--detach", check=False)
    assert done.returncode == 1
    assert "DMS_REDIS_MAX_MEMORY_BYTES" in done.stderr

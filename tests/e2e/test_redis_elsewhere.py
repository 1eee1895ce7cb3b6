"""A site whose broker is a Redis server of somebody else's: over TCP, with a password, in a database of its own."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.e2e.working import deploy, ensemble, onboard_when_free, reached
from tests.integration.docker_rig import free_port
from tests.support.require import require
from tests.support.services import wait_for
from tests.support.site import running_site

DATABASE = 3


@contextmanager
def guarded_redis(folder: Path) -> Iterator[tuple[int, str]]:
    """Run a Redis on a TCP port of the loopback that wants a password; give both."""
    port, password = free_port(), secrets.token_urlsafe(12)
    command = [require("redis"), "--port", str(port), "--bind", "127.0.0.1", "--requirepass", password]
    command += ["--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(port=port, password=password) as client:
                wait_for(lambda: answers(client), what="Redis")
            yield port, password
        finally:
            process.terminate()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.timeout(240)
def test_the_main_job_over_a_guarded_redis(tmp_path: Path) -> None:
    for name in ("assets", "bwrap"):
        require(name)
    with guarded_redis(tmp_path) as (port, password):
        url = f"redis://:{password}@127.0.0.1:{port}/{DATABASE}"
        with running_site({"REDIS_URL": url}) as site:
            onboard_when_free(site)
            task = deploy(site, ensemble("echo hi", kind="task", executor="process"))
            reached(site, task, "Completed")
            assert {one["name"] for one in site.json("status")["processes"]} == {
                "supervisor",
                "web",
                "worker",
            }
            with redis.Redis(port=port, password=password) as client:
                assert {int(name.removeprefix("db")) for name in client.info("keyspace")} <= {DATABASE}
            assert password not in site.log("worker") + site.log("web") + site.log("supervisor")


@pytest.mark.timeout(240)
def test_a_wrong_password_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    require("assets")
    with guarded_redis(tmp_path) as (port, _):
        wrong = {"REDIS_URL": f"redis://:wrong@127.0.0.1:{port}/{DATABASE}"}
        with running_site(wrong, start=False) as site:
            failed = site.up(check=False)
            assert failed.returncode == 1
            assert "password" in failed.stderr.lower() or "auth" in failed.stderr.lower(), failed.stderr
            assert "wrong" not in failed.stderr.replace("wrong password", "")

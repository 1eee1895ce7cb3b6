"""Health checks of a running site, through its command line: waiting for healthy, and a worker that was killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.e2e import working
from tests.support.require import require
from tests.support.services import wait_for
from tests.support.site import Site

pytestmark = pytest.mark.timeout(300)
SERVE = "mkdir /tmp/w; (sleep 2; echo ok > /tmp/w/health) & exec httpd -f -p 8080 -h /tmp/w"


@pytest.fixture
def live(site: Site) -> Iterator[Site]:
    for name in ("assets", "docker"):
        require(name)
    site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
    yield site


def named(shown: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in shown["allocations"] if item["name"] == f"here.{name}")


def test_a_deployment_waits_for_healthy_and_is_checked_on_after_a_kill(live: Site) -> None:
    check = {
        "type": "http",
        "endpoint": "http://localhost:8080/health",
        "interval": "1s",
        "retries": 2,
        "start_period": "1m",
        "response": {"value": "ok"},
    }
    tree = working.ensemble(SERVE, healthcheck=check)
    tree["allocations"]["two"] = working.ensemble("sleep 600", depends_on=["one"])["allocations"]["one"]
    tree["nodes"]["here"]["allocations"].append("two")
    done = live.cli("deploy", "-f", "-", "--wait", "--json", stdin=json.dumps(tree))
    deployment = json.loads(done.stdout)["id"]
    assert json.loads(done.stdout)["status"] == "Running"
    shown = live.json("show", deployment)
    assert named(shown, "one")["health"] == "healthy"
    assert named(shown, "one")["health_detail"].startswith("GET /health -> 200 after ")
    texts = [event["text"] for event in shown["events"]]
    healthy = next(index for index, text in enumerate(texts) if text.startswith("here.one is healthy: GET"))
    assert texts.index("here.one started") < healthy < texts.index("here.two started")
    assert "healthy" in live.cli("show", deployment).stdout
    assert {item["health"] for item in live.json("get", "allocations")["items"]} >= {"healthy", ""}

    working.replaced(live, "worker", working.kill(live, "worker"))
    client = docker.from_env()
    (container,) = [
        found
        for found in client.containers.list(filters={"label": f"dms.deployment={deployment}"})
        if found.labels["dms.allocation"].endswith(".one")
    ]
    container.exec_run(["rm", "/tmp/w/health"])
    client.close()

    def failed() -> bool:
        return str(named(live.json("show", deployment), "one")["status"]) == "failed"

    wait_for(failed, timeout_s=working.PATIENCE_S, what="the end of what turned ill", every_s=0.5)
    one = named(live.json("show", deployment), "one")
    assert one["reason"] == "unhealthy"
    assert "2 failures in a row; GET /health -> 404 after " in one["detail"]
    live.cli("shutdown", deployment, "--wait", check=False)

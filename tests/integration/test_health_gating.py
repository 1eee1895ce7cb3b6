"""Health decides: dependents wait for it, what hangs is ended for it, a deadline names it. Real containers."""

from __future__ import annotations

from typing import Any

import pytest

from deployments import states
from deployments.models import Deployment
from tests.integration.turns import Site, container, row, site
from tests.unit.deployments import world
from workers.executors.base import State

pytestmark = pytest.mark.django_db(transaction=True)
SERVE = "mkdir -p /tmp/w && cd /tmp/w && exec httpd -f -p 8080 -h /tmp/w"
__all__ = ["site"]


def http(**more: Any) -> dict[str, Any]:
    return {"type": "http", "endpoint": "/health", "port": 8080, "interval": "1s"} | more


def test_what_depends_on_it_waits_until_it_is_healthy(site: Site) -> None:
    deployment = site.deploy(
        {
            "db": container(
                "sh", "-c", SERVE, healthcheck=http(start_period="10m", response={"value": "ok"})
            ),
            "app": container("sleep", "600", depends_on=["db"]),
        }
    )
    site.until(lambda: "404" in row(deployment, "db").health_detail, "a first answer")
    db, app = row(deployment, "db"), row(deployment, "app")
    assert (db.status, db.health, app.status, app.start_wanted) == ("running", "starting", "pending", False)
    deployment.refresh_from_db()
    assert deployment.status == states.PROVISIONING

    site.docker.run_inside(
        db.execution_id, ["sh", "-c", "echo ok > /tmp/w/health"], timeout_s=60, max_bytes=99
    )
    site.until(lambda: Deployment.objects.get(pk=deployment.pk).status == states.RUNNING, "Running")
    db, app = row(deployment, "db"), row(deployment, "app")
    assert (db.health, app.health, app.status) == ("healthy", "", "running")
    assert db.health_detail.startswith("GET /health -> 200 after ")
    healthy = deployment.events.get(kind="health", allocation=db)
    assert "db is healthy: GET /health -> 200" in healthy.text
    assert app.started_at is not None and app.started_at > healthy.at


def test_what_hangs_is_ended_as_unhealthy_and_said_so(site: Site) -> None:
    check = {
        "type": "command",
        "exec": ["sleep", "600"],
        "interval": "500ms",
        "timeout": "500ms",
        "retries": 2,
    }
    deployment = site.deploy({"web": container("sleep", "600", healthcheck=check)})
    site.until(lambda: row(deployment, "web").status == "failed", "it failed")
    web = row(deployment, "web")
    assert (web.reason, web.health, web.health_failures) == ("unhealthy", "unhealthy", 2)
    assert "2 failures in a row; command sleep 600 -> no answer within 500 ms" in web.detail
    site.until(lambda: Deployment.objects.get(pk=deployment.pk).status == states.FAILED, "Failed")
    deployment.refresh_from_db()
    assert "unhealthy" in deployment.reason and "no answer within" in deployment.reason
    assert deployment.events.filter(kind="health", text__contains="is unhealthy after 2 failures").exists()
    assert site.docker.inspect(web.execution_id).state == State.GONE


def test_a_service_that_turns_ill_after_it_was_healthy(site: Site) -> None:
    check = {"type": "tcp", "port": 8080, "interval": "500ms", "retries": 2}
    line = "httpd -f -p 8080 -h /tmp & echo $! > /tmp/pid; exec sleep 600"
    deployment = site.deploy({"web": container("sh", "-c", line, healthcheck=check)})
    site.until(lambda: Deployment.objects.get(pk=deployment.pk).status == states.RUNNING, "Running")
    web = row(deployment, "web")
    assert web.health == "healthy"
    site.docker.run_inside(web.execution_id, ["sh", "-c", "kill $(cat /tmp/pid)"], timeout_s=60, max_bytes=99)
    site.until(lambda: row(deployment, "web").status == "failed", "it failed")
    web = row(deployment, "web")
    assert web.reason == "unhealthy"
    assert "tcp 8080 -> Connection refused" in web.detail


def test_a_deadline_names_who_is_not_healthy_and_its_last_answer(site: Site) -> None:
    deployment = site.deploy(
        {
            "db": container("sh", "-c", SERVE, healthcheck=http(start_period="10m")),
            "app": container("true", kind="task", depends_on=["db"]),
        }
    )
    site.until(lambda: "404" in row(deployment, "db").health_detail, "a first answer")
    Deployment.objects.filter(pk=deployment.pk).update(deadline_at=deployment.created_at)
    site.until(lambda: Deployment.objects.get(pk=deployment.pk).status == states.FAILED, "Failed")
    deployment.refresh_from_db()
    assert "here.db (not healthy: GET /health -> 404 after " in deployment.reason
    assert deployment.reasons[0]["check"] == "health"


def test_tasks_and_sandboxes_are_gated_too(site: Site) -> None:
    check = {"type": "command", "exec": ["cat", "done"], "interval": "500ms", "start_period": "10m"}
    deployment = site.deploy(
        {
            "first": world.allocation(
                "task",
                execution={"type": "process", "cmd": ["sh", "-c", "sleep 2; echo x > done; exec sleep 600"]},
                healthcheck=check,
            ),
            "second": world.allocation("task", depends_on=["first"]),
        }
    )
    site.until(lambda: row(deployment, "first").health_detail != "", "a first answer")
    site.until(lambda: row(deployment, "second").status == "completed", "the second task ran")
    assert row(deployment, "first").health == "healthy"
    for execution in site.executors["process"].executions(site.node.identity.did):
        site.executors["process"].remove(execution.execution_id)

"""A site whose rows are in PostgreSQL does the main job as one with SQLite does."""

from __future__ import annotations

import pytest

from tests.support.require import ROOT, require
from tests.support.services import postgres_cluster
from tests.support.site import Site, running_site

EXAMPLE = ROOT / "examples" / "hello-process.yaml"
SERVICE = """
allocations:
  sleeper:
    type: service
    executor: process
    resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 64MiB}}
    execution: {type: process, cmd: [sleep, "600"]}
nodes:
  here: {allocations: [sleeper]}
"""


@pytest.mark.timeout(180)
def test_the_main_job_on_postgresql() -> None:
    require("assets")
    require("bwrap")
    with postgres_cluster() as url, running_site({"DATABASE_URL": url}) as site:
        site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
        task = site.json("deploy", "-f", str(EXAMPLE), "--wait")
        assert task["status"] == "Completed", (task, site.log("worker"))
        shown = site.json("show", task["id"])
        moves = [event["data"]["to"] for event in shown["events"] if event["kind"] == "status"]
        assert moves == ["Preparing", "Committing", "Provisioning", "Running", "Completed"]
        assert site.cli("logs", task["id"]).stdout.startswith("hello from ")
        service_is_shut_down(site)
        assert not (site.home / "db" / "dms.sqlite3").exists()
        assert "Traceback" not in site.log("worker") + site.log("web")


def service_is_shut_down(site: Site) -> None:
    service = site.json("deploy", "-f", "-", "--wait", stdin=SERVICE)
    assert service["status"] == "Running", (service, site.log("worker"))
    site.cli("shutdown", service["id"], "--wait")
    assert site.json("show", service["id"])["status"] == "Completed"
    left = site.json("resources")
    assert left["free"] == left["onboarded"]

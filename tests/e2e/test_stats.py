"""What runs uses, as people see it: the verb, the charts, what else is on the machine, and single containers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import log_in, visitor
from tests.e2e.working import IMAGE, deploy, ensemble, onboard_when_free, reached, shut_down
from tests.support.require import require
from tests.support.services import wait_for
from tests.support.site import Site, running_site

STRANGER = f"stranger-of-e2e-{os.getpid()}"
QUICK = {"DMS_ALLOCATION_SAMPLE_S": "1", "DMS_FOREIGN_CHECK_S": "1"}
BUSY = "while :; do :; done"


@pytest.fixture(scope="module")
def quick() -> Iterator[Site]:
    """A site that samples every second, onboarded."""
    require("docker")
    with running_site(QUICK) as site:
        onboard_when_free(site)
        yield site


def stop(site: Site, key: str) -> dict[str, Any]:
    """Ask for the stop of a container; return what is printed."""
    answer: dict[str, Any] = site.json(
        "actor", "cmd", "/dms/node/container/stop", json.dumps({"ExecutionID": key}), check=False
    )
    return answer


def test_the_verb_once_and_watching(quick: Site) -> None:
    key = deploy(quick, ensemble(BUSY))
    reached(quick, key, "Running")

    def measured() -> dict[str, Any] | None:
        (one,) = quick.json("stats", key)["Allocations"]
        return one if one["cpu_percent"] is not None else None

    one = wait_for(measured, timeout_s=30, what="two samples")
    assert isinstance(one, dict)
    # 0.05 of a core was granted: less on a busy machine, more by no more than a period of the limit.
    assert 0 < one["cpu_percent"] < 15
    assert one["ram_limit_bytes"] == 64 << 20
    assert "here.one" in quick.cli("stats").stdout
    shutdown = quick.cli("shutdown", key)
    assert "stopping" in shutdown.stdout
    # It goes on with every sample, and ends when nothing is left that could run.
    lines = quick.cli("stats", key, "--watch", "--json").stdout.splitlines()
    assert json.loads(lines[-1])["Allocations"][0]["status"] != "pending"
    reached(quick, key, "Completed")


def test_the_charts_show_up_and_change_live(quick: Site, browser: Browser) -> None:
    key = deploy(quick, ensemble(BUSY))
    reached(quick, key, "Running")
    with visitor(browser, quick) as window:
        state = log_in(window)
        page = window.open(f"/deployments/{key}/")
        page.evaluate("window.stayed = true")
        expect(page.locator("#chart-cpu canvas")).to_be_visible()
        expect(page.locator("#chart-cpu")).to_have_attribute("aria-label", re.compile("granted 5"))
        page.locator("#stats-charts").scroll_into_view_if_needed()
        newest = page.locator("#stats-charts").get_attribute("data-newest")
        later = "at => document.getElementById('stats-charts').dataset.newest > at"
        page.wait_for_function(later, arg=newest)
        expect(page.locator("#stats-now")).to_contain_text("of 64 MiB")
        assert page.evaluate("window.stayed") is True
        page.get_by_label("Time of the charts").select_option("day")
        expect(page.locator("#chart-memory")).to_have_attribute("aria-label", re.compile("last day"))
        assert window.violations() == []
        assert window.complaints == []
    with visitor(browser, quick, width=390, theme="dark", state=state) as narrow:
        page = narrow.open(f"/deployments/{key}/")
        expect(page.locator("#chart-memory canvas")).to_be_visible()
        assert narrow.violations() == []
        assert narrow.overflow() <= 0
    shut_down(quick, key)


def test_what_else_runs_is_seen_and_cannot_be_stopped(quick: Site) -> None:
    engine = docker.from_env()
    container = engine.containers.run(IMAGE, ["sleep", "1000"], detach=True, name=STRANGER)
    try:

        def seen() -> dict[str, Any] | None:
            found = quick.json("actor", "cmd", "/dms/node/container/list")["Containers"]
            return next((one for one in found if one["Name"] == STRANGER and one["Running"]), None)

        one = wait_for(seen, timeout_s=30, what="the foreign container")
        assert isinstance(one, dict)
        assert (one["ReadOnly"], one["Image"]) == (True, IMAGE)
        answer = stop(quick, STRANGER)
        assert answer["type"].endswith(":foreign_container")
        container.reload()
        assert container.status == "running"
    finally:
        container.remove(force=True)
        engine.close()


def test_a_container_is_started_listed_and_stopped(quick: Site) -> None:
    resources = {"CPU": 0.05, "RAM": "64MiB", "Disk": "64MiB"}
    request = {"Image": IMAGE, "Cmd": ["sleep", "1000"], "Name": "single", "Resources": resources}
    started = quick.json("actor", "cmd", "/dms/node/container/start", json.dumps(request))
    reached(quick, started["EnsembleID"], "Running")
    listed = quick.json("actor", "cmd", "/dms/node/container/list")["Containers"]
    (own,) = [one for one in listed if one["AllocationID"] == started["AllocationID"]]
    engine = docker.from_env()
    try:
        assert engine.containers.get(own["ContainerName"]).status == "running"
    finally:
        engine.close()
    assert stop(quick, own["ContainerName"])["OK"] is True
    reached(quick, started["EnsembleID"], "Completed")

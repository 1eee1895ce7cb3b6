"""A compose file of a web server, a database, a cache and a worker: translated, validated, deployed, asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_examples import allocations, answered, log_of, public_port
from tests.support.require import ROOT, require
from tests.support.services import wait_for
from tests.support.site import Site

SHOP = ROOT / "examples" / "compose" / "shop.yaml"


@pytest.fixture(scope="module")
def onboarded(site: Site) -> Site:
    require("docker")
    site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "10GiB", "--no-gpu")
    return site


def moment(shown: dict[str, Any], text: str) -> str:
    """When the timeline says so of an allocation, whichever its node."""
    return next(str(event["at"]) for event in shown["events"] if event["text"].endswith(text))


def test_the_shop_answers(onboarded: Site, tmp_path: Path) -> None:
    out = tmp_path / "shop.yaml"
    said = onboarded.cli("translate", str(SHOP), "-o", str(out))
    assert f"{SHOP}:44:5: not carried over: services.web.container_name" in said.stderr
    assert onboarded.json("validate", str(out))["valid"]
    done = onboarded.cli("deploy", "-f", str(out), "--wait", "--json", check=False)
    answer = json.loads(done.stdout)
    shown = onboarded.json("show", answer["id"])
    try:
        assert answer["status"] == "Running", (answer, [event["text"] for event in shown["events"]])
        found = allocations(shown)
        assert set(found) == {"web", "database", "cache", "worker", "migrate"}
        # Running says that the web server's start has come, and that waits for the end of this.
        assert (found["migrate"]["type"], found["migrate"]["status"]) == ("task", "completed")
        assert moment(shown, "migrate completed") < moment(shown, "web started")
        assert answered(public_port(found["web"]), "/") == "hello from cache\n"
        wait_for(
            lambda: "worked" in log_of(onboarded, shown, "worker"),
            timeout_s=60,
            what="the worker's first line",
        )
    finally:
        onboarded.cli("shutdown", answer["id"], "--wait", check=False)

"""One submission is followed from the request through the worker; lines go to a collector; figures are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.working import PATIENCE_S, deploy, ensemble, onboard_when_free, reached, shut_down
from tests.support.collector import collector
from tests.support.envelopes import client_of
from tests.support.services import wait_for
from tests.support.site import Site, running_site

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("observed")]


@pytest.fixture(scope="module")
def observed() -> Iterator[Site]:
    with running_site({"DMS_LOGGER_LOOK_S": "0.5"}) as site:
        onboard_when_free(site)
        yield site


def lines(site: Site, process: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in site.log(process).splitlines() if line.startswith("{")]


def complete(site: Site) -> None:
    """Have a task done."""
    reached(site, deploy(site, ensemble("true", kind="task", executor="process")), "Completed")


def test_a_request_is_followed_through_every_process(observed: Site) -> None:
    tree = json.dumps(ensemble("echo hi; sleep 600", executor="process"))
    with client_of(observed, observed.token) as http:
        answer = http.post(
            "/dms/node/deployment/new", json={"Ensemble": tree}, headers={"X-Request-ID": "follow-me"}
        )
    assert answer.headers["X-Request-ID"] == "follow-me"
    key = answer.json()["EnsembleID"]
    reached(observed, key, "Running")
    mine = {
        process: [line for line in lines(observed, process) if line.get("request") == "follow-me"]
        for process in ("web", "worker")
    }
    assert any(line["message"].startswith("/dms/node/deployment/new allowed") for line in mine["web"])
    moves = [line for line in mine["worker"] if line.get("deployment") == key]
    assert any("-> Running" in line["message"] for line in moves), mine["worker"]
    did = observed.json("status")["did"]
    assert {line["node"] for line in moves} == {did}
    assert {line["process"] for line in moves} == {"worker"}
    with client_of(observed, observed.token) as http:
        odd = http.get("/nodes/", headers={"X-Request-ID": "no good\tat all"})
    assert len(odd.headers["X-Request-ID"]) == 32
    shut_down(observed, key)


def test_lines_of_all_processes_go_to_a_collector_that_may_die(observed: Site) -> None:
    with collector() as target:
        observed.cli("logger", "--otlp", target.url, "--interval", "1", "--api-key", "k", "--level", "info")

        def processes() -> set[str]:
            return {
                attribute["value"]["stringValue"]
                for record in target.records
                for attribute in record["resource"]["attributes"]
                if attribute["key"] == "dms.process"
            }

        def both() -> bool:
            complete(observed)
            return processes() >= {"web", "worker"}

        wait_for(both, timeout_s=PATIENCE_S, what="lines of both", every_s=0.5)
        target.stop()
        complete(observed)
    shown = observed.json("logger")
    assert shown["api_key"] == "(set)"
    assert shown["api_key"] != "k"
    observed.cli("logger", "--otlp", "", "--level", "info")
    assert observed.json("logger")["target"] == ""
    bad = observed.json("logger", "--level", "loud", "--interval", "0", check=False)
    assert [one["path"] for one in bad["errors"]] == ["level", "interval"]


def test_the_figures_are_of_all_processes_and_for_those_who_may(observed: Site) -> None:
    def figures() -> dict[str, float]:
        answer = httpx.get(
            f"{observed.url}/metrics",
            headers={"Authorization": f"Bearer {observed.token}"},
            timeout=30,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("text/plain")
        found = {}
        for line in answer.text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    assert httpx.get(f"{observed.url}/metrics", timeout=30, trust_env=False).status_code == 401
    complete(observed)
    site = figures()
    assert site['dms_cores{state="onboarded"}'] == 1.0
    assert site['dms_deployments{status="Completed"}'] >= 1
    assert site['dms_invocations_total{behavior="/dms/node/deployment/new",outcome="allowed"}'] >= 1
    # Counted in the worker, told by the web process.
    wait_for(
        lambda: (
            figures().get('dms_tasks_total{outcome="success",task="workers.tasks.execute.sweep"}', 0) >= 1
        ),
        timeout_s=PATIENCE_S,
        what="the worker's tasks",
    )
    stranger = observed.cli("user", "add", "stranger").returncode
    assert stranger == 0
    token = observed.json("user", "token", "stranger")["token"]
    refused = httpx.get(
        f"{observed.url}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
    )
    assert (refused.status_code, refused.json()["capability"]) == (403, "/dms/node/metrics/get")

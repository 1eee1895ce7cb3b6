"""Plan, queue, quotas, drain and cancel against a real site, by the command line and REST."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e import working
from tests.e2e.browser import chromium, log_in, visitor
from tests.support.require import require
from tests.support.services import wait_for
from tests.support.site import Site, running_site

pytestmark = [pytest.mark.xdist_group("control"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def live() -> Iterator[Site]:
    for name in ("assets", "bwrap"):
        require(name)
    with running_site() as site:
        site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
        yield site


@pytest.fixture(autouse=True)
def clean(live: Site) -> Iterator[None]:
    """End every deployment of a test, and look that nothing stays held."""
    yield
    live.cli("drain", "--off")
    unfinished = [item["id"] for item in rows(live) if item["status"] not in {"Completed", "Failed"}]
    for deployment in unfinished:
        live.cli("cancel", deployment, "--wait")
    resources = live.json("resources")
    assert resources["free"] == resources["onboarded"]


def rows(site: Site) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {site.token}"}
    answer = httpx.get(f"{site.url}/api/v1/deployments/?limit=1000", headers=headers, trust_env=False)
    return list(answer.raise_for_status().json()["items"])


def tree(cores: float, *, kind: str = "service", command: str = "sleep 600", **more: Any) -> dict[str, Any]:
    document = working.ensemble(command, kind=kind, executor="process", **more)
    document["allocations"]["one"]["resources"]["cpu"]["cores"] = cores
    return document


def file(folder: Path, cores: float) -> str:
    path = folder / f"{cores}.json"
    path.write_text(json.dumps(tree(cores)))
    return str(path)


def queued(site: Site, deployment: str) -> dict[str, Any]:
    """Wait until it is queued and return what the site says about it."""

    def look() -> dict[str, Any] | None:
        shown = working.info(site, deployment)
        assert shown["Status"] == "Preparing", shown
        return shown if "Queue" in shown else None

    found = wait_for(look, timeout_s=working.PATIENCE_S, what="a place in the queue")
    assert isinstance(found, dict)
    return found


def test_a_plan_says_what_deploying_does_and_changes_nothing(live: Site, tmp_path: Path) -> None:
    before = rows(live)
    fits = live.json("plan", "-f", file(tmp_path, 0.5))
    assert fits["placeable"]
    assert fits["placements"][0]["allocations"] == ["one"]
    assert fits["totals"]["needed"]["cpu_cores"] == 0.5
    too_big = live.cli("plan", "-f", file(tmp_path, 64), "--json", check=False)
    assert too_big.returncode == 1
    answer = json.loads(too_big.stdout)
    assert (answer["placeable"], answer["would_queue"]) == (False, False)
    cpu = next(reason for reason in answer["reasons"] if reason["check"] == "cpu")
    assert (cpu["subject"], cpu["needed"], cpu["available"]) == ("here", "64 cores", "1 core")
    assert cpu["hint"]
    words = live.cli("plan", "-f", file(tmp_path, 64), check=False).stdout
    assert "cannot be placed" in words
    assert "64 cores" in words
    assert rows(live) == before
    failed = working.reached(live, working.deploy(live, tree(64)), "Failed")
    assert [reason["check"] for reason in failed["Reasons"]] == [item["check"] for item in answer["reasons"]]
    assert "64 cores" in live.cli("show", failed["ID"]).stdout


def test_what_does_not_fit_waits_its_turn(live: Site, tmp_path: Path) -> None:
    first = working.deploy(live, tree(0.8))
    working.reached(live, first, "Running")
    second = live.json("deploy", "-f", file(tmp_path, 0.9), "--queue")["id"]
    assert queued(live, second)["Queue"]["Place"] == 1
    third = live.json("deploy", "-f", file(tmp_path, 0.7), "--queue-for", "3600")["id"]
    shown = queued(live, third)
    assert (shown["Queue"]["Place"], shown["Queue"]["Of"]) == (2, 2)
    assert queued(live, second)["Reason"] == "queued: 0.9 cores wanted, 0.2 cores free"
    assert "queued: place 2 of 2" in live.cli("show", third).stdout
    places = {item["id"]: item["queue_place"] for item in live.json("get", "deployments")["items"]}
    assert (places[second], places[third]) == (1, 2)
    refused = working.reached(live, working.deploy(live, tree(0.1)), "Failed")
    assert "kept for 2 that wait in the queue" in refused["Reason"]
    live.cli("cancel", first)
    working.reached(live, second, "Running")
    assert queued(live, third)["Queue"]["Place"] == 1
    live.cli("cancel", second)
    working.reached(live, third, "Running")


def test_the_queue_survives_a_lost_broker(live: Site) -> None:
    first = working.deploy(live, tree(0.8))
    working.reached(live, first, "Running")
    second = working.deploy(live, tree(0.8), Queue=True)
    queued(live, second)
    pid = working.kill(live, "redis")
    working.call(live, "shutdown", ID=first)
    working.replaced(live, "redis", pid)
    working.reached(live, second, "Running")


def test_a_queued_deployment_gives_up_at_its_own_limit(live: Site) -> None:
    first = working.deploy(live, tree(0.8))
    working.reached(live, first, "Running")
    waits = working.deploy(live, tree(0.8), Queue=True, QueueSeconds=1)
    failed = working.reached(live, waits, "Failed")
    assert failed["Reason"].startswith("not placed within its time in the queue")
    assert failed["Reasons"][0]["needed"] == "0.8 cores"


def test_a_quota_names_used_wanted_and_limit(live: Site, tmp_path: Path) -> None:
    live.cli("user", "add", "bob")
    token = live.json("user", "token", "bob")["token"]
    assert live.json("user", "quota", "bob", "--cores", "0.5")["Limits"]["cpu_centicores"] == 50
    within = live.json("deploy", "-f", file(tmp_path, 0.3), "--url", live.url, "--token", token)["id"]
    working.reached(live, within, "Running")
    refused = live.cli(
        "deploy",
        "-f",
        file(tmp_path, 0.25),
        "--queue",
        "--url",
        live.url,
        "--token",
        token,
        "--json",
        check=False,
    )
    problem = json.loads(refused.stdout)
    assert refused.returncode == 1
    assert problem["type"] == "urn:dms:problem:quota_exceeded"
    assert problem["detail"] == "quota of cores: 0.3 cores used, 0.25 cores wanted, 0.5 cores allowed"
    assert problem["errors"][0]["hint"]
    assert "0.3 of 0.5" in live.cli("user", "quota").stdout
    denied = live.cli(
        "user", "quota", "bob", "--cores", "9", "--url", live.url, "--token", token, check=False
    )
    assert denied.returncode == 1
    live.cli("user", "quota", "bob", "--cores", "default")


def test_a_drained_node_takes_nothing_until_it_is_let(live: Site) -> None:
    service, task = (
        working.deploy(live, tree(0.3)),
        working.deploy(live, tree(0.3, kind="task", command="sleep 4")),
    )
    working.reached(live, service, "Running")
    working.reached(live, task, "Running")
    answer = live.json("drain", "--stop", "--reason", "a new disk")
    assert (answer["Draining"], answer["Drained"], answer["Stopping"]) == (True, False, 1)
    assert live.json("status")["draining"]
    refused = working.reached(live, working.deploy(live, tree(0.1)), "Failed")
    assert [reason["check"] for reason in refused["Reasons"]] == ["draining"]
    assert "a new disk" in refused["Reason"]
    waits = working.deploy(live, tree(0.1), Queue=True)
    queued(live, waits)
    working.reached(live, service, "Completed")
    working.reached(live, task, "Completed")

    def drained() -> Any:
        return live.json("get", "nodes")["items"][0]["drained_at"]

    wait_for(drained, timeout_s=working.PATIENCE_S, what="the end of the drain", every_s=0.5)
    queued(live, waits)
    live.cli("drain", "--off")
    working.reached(live, waits, "Running")


def test_cancel_works_in_each_phase(live: Site) -> None:
    running = working.deploy(live, tree(0.5))
    working.reached(live, running, "Running")
    script = {"slow": "#!/bin/sh\nsleep 600\n"}
    provisioning = working.deploy(live, tree(0.1, provision=["slow"]) | {"scripts": script})
    wait_for(partial(_starting, live, provisioning), timeout_s=working.PATIENCE_S, what="the start")
    waits = working.deploy(live, tree(0.9), Queue=True)
    queued(live, waits)
    pid = int(working.process(live, "worker")["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        preparing = working.deploy(live, tree(0.1))
        live.cli("cancel", preparing)
        assert working.info(live, preparing)["Status"] == "Preparing"
    finally:
        os.kill(pid, signal.SIGCONT)
    for deployment in (waits, provisioning, running):
        live.cli("cancel", deployment, "--wait")
    for deployment in (preparing, waits, provisioning, running):
        assert working.reached(live, deployment, "Completed")["Reason"] == ""
    again = live.cli("cancel", running, check=False)
    assert again.returncode == 1


def test_each_quota_is_refused_with_its_numbers(live: Site) -> None:
    live.cli("user", "add", "carol")
    token = live.json("user", "token", "carol")["token"]
    limits = {"deployments": "1", "memory": "100MiB", "disk": "100MiB", "gpus": "0", "running-time": "60"}
    options = [word for name, value in limits.items() for word in (f"--{name}", value)]
    live.json("user", "quota", "carol", *options)

    def submit(document: dict[str, Any]) -> httpx.Response:
        return httpx.post(
            f"{live.url}/api/v1/dms/node/deployment/new",
            json={"Ensemble": json.dumps(document)},
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )

    def asking(**changes: Any) -> dict[str, Any]:
        document = tree(0.1)
        resources = document["allocations"]["one"]["resources"]
        resources |= {name: changes.pop(name) for name in ("ram", "disk", "gpus") if name in changes}
        return document | changes

    card = {"vendor": "nvidia", "vram": "1GiB"}
    refused = {
        "quota of memory: 0 B used, 128 MiB wanted, 100 MiB allowed": asking(ram={"size": "128MiB"}),
        "quota of disk: 0 B used, 128 MiB wanted, 100 MiB allowed": asking(disk={"size": "128MiB"}),
        "quota of GPUs: 0 GPUs used, 1 GPU wanted, 0 GPUs allowed": asking(gpus=[card]),
        "quota of running time: 90 s wanted, 60 s allowed": asking(max_runtime="90s"),
    }
    for message, document in refused.items():
        answer = submit(document)
        assert (answer.status_code, answer.json()["detail"]) == (409, message), answer.text
    working.reached(live, submit(asking()).json()["EnsembleID"], "Running")
    again = submit(asking()).json()
    first = again["detail"].partition(";")[0]
    assert first == "quota of deployments: 1 deployment used, 1 deployment wanted, 1 deployment allowed"
    assert again["errors"][0]["hint"]


def test_cancel_while_it_waits_to_restart_and_while_it_stops(live: Site) -> None:
    fails = tree(0.1, kind="task", command="exit 3", failure_recovery="one_for_one")
    fails["allocations"]["one"]["restart"] = {"max": 9, "within": "10m", "backoff": "5m", "backoff_max": "5m"}
    restarting = working.deploy(live, fails)

    def pausing() -> bool:
        (found,) = working.info(live, restarting)["Allocations"] or ({"restart_at": None},)
        return bool(found["restart_at"])

    wait_for(pausing, timeout_s=working.PATIENCE_S, what="the pause before the restart")
    live.cli("cancel", restarting, "--wait")
    path = f"{live.url}/api/v1/allocations/{working.allocation(live, restarting)['id']}/attempts/"
    attempts = httpx.get(path, headers={"Authorization": f"Bearer {live.token}"}, trust_env=False).json()[
        "items"
    ]
    assert [(item["number"], bool(item["started_at"])) for item in attempts] == [(2, False), (1, True)]
    stubborn = working.deploy(live, tree(0.1, command="trap '' TERM; while :; do sleep 0.2; done"))
    working.reached(live, stubborn, "Running")
    for _ in range(3):
        live.cli("cancel", stubborn)
    assert working.info(live, stubborn)["Status"] == "ShuttingDown"
    shown = working.reached(live, stubborn, "Completed")
    asked = [event["text"] for event in shown["Events"] if event["kind"] == "shutdown"]
    assert len(asked) == 1, asked


def test_cancel_at_any_moment_of_a_start(live: Site) -> None:
    phases = set()
    for step in range(8):
        deployment = working.deploy(live, tree(0.1))
        moment = time.monotonic() + 0.03 * step
        wait_for(partial(_due, moment), every_s=0.005, what="the moment")
        working.call(live, "shutdown", ID=deployment)
        shown = working.reached(live, deployment, "Completed")
        assert shown["Reason"] == ""
        phases |= {
            event["data"]["from"] for event in shown["Events"] if event["data"].get("to") == "ShuttingDown"
        }
    assert phases <= {"Preparing", "Committing", "Provisioning", "Running"}
    assert "Preparing" in phases or "Committing" in phases or "Provisioning" in phases


def _due(moment: float) -> bool:
    return time.monotonic() >= moment


def _starting(site: Site, deployment: str) -> bool:
    shown = working.info(site, deployment)
    assert shown["Status"] in {"Preparing", "Committing", "Provisioning"}, shown
    return any(item["progress"] for item in shown["Allocations"])


def test_plan_queue_quota_and_drain_on_pages(live: Site) -> None:
    live.cli("user", "quota", "admin", "--deployments", "50", "--memory", "2GiB")
    first = working.deploy(live, tree(0.8))
    working.reached(live, first, "Running")
    with chromium() as browser, visitor(browser, live, width=390, theme="dark") as window:
        log_in(window)

        def fine(name: str) -> None:
            assert window.violations() == [], name
            assert window.overflow() <= 0, name

        page = window.open("/deployments/new/")
        page.locator("#source").fill(json.dumps(tree(0.9)))
        page.get_by_role("button", name="Plan").click()
        expect(page.locator("#plan")).to_contain_text("it could wait in the queue")
        expect(page.locator("#plan")).to_contain_text("0.9 cores")
        expect(page.locator("#plan")).to_contain_text("here.one needs")
        fine("plan")
        page.get_by_label("Wait in the queue").check()
        page.get_by_role("button", name="Deploy", exact=True).click()
        head = page.locator("#deployment-head")
        expect(head).to_contain_text("place 1 of 1")
        expect(head).to_contain_text("0.9 cores wanted, 0.2 cores free")
        fine("queued")
        live.cli("cancel", first)
        expect(head).to_contain_text("Running")
        page = window.open("/account/quota/")
        expect(page.locator("#quota-own")).to_contain_text("of 50 deployments")
        fine("quota")
        page = window.open("/nodes/")
        page.locator("main a[href^='/nodes/']").first.click()
        page.get_by_role("button", name="Drain").click()
        page.get_by_label("Reason").fill("a new disk")
        fine("drain-dialog")
        page.locator("#drain-dialog .btn-danger").click()
        expect(page.locator("#drain")).to_contain_text("a new disk")
        expect(page.locator("#node-head")).to_contain_text("draining")
        fine("draining")
        page.get_by_role("button", name="Take work again").click()
        expect(page.locator("#node-head")).to_contain_text("ready")
        window.open("/")
        fine("overview")
        assert window.complaints == []

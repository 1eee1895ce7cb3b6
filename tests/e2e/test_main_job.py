"""The main job as a person does it: up, onboard, deploy, look, shut down, with the real command line and Docker."""

from __future__ import annotations

import json
import os
from pathlib import Path

import docker
import pytest

from tests.support.require import ROOT, require
from tests.support.site import Site, running_site

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def onboarded(site: Site) -> Site:
    site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "10GiB", "--no-gpu")
    return site


def containers_of(deployment_id: str) -> list[str]:
    client = docker.from_env()
    try:
        found = client.containers.list(all=True, filters={"label": f"dms.deployment={deployment_id}"})
        return [container.status for container in found]
    finally:
        client.close()


def test_a_task_runs_to_its_end_and_everybody_agrees(onboarded: Site) -> None:
    require("docker")
    answer = onboarded.json("deploy", "-f", str(EXAMPLES / "hello.yaml"), "--wait")
    assert answer["status"] == "Completed", answer
    shown = onboarded.json("show", answer["id"])
    assert [item["status"] for item in shown["allocations"]] == ["completed"]
    assert [item["exit_code"] for item in shown["allocations"]] == [0]
    moves = [event["data"]["to"] for event in shown["events"] if event["kind"] == "status"]
    assert moves == ["Preparing", "Committing", "Provisioning", "Running", "Completed"]
    assert "hello" in onboarded.cli("logs", answer["id"]).stdout.lower()
    listed = onboarded.json("get", "deployments")
    assert answer["id"] in {item["id"] for item in listed["items"]}
    assert containers_of(answer["id"]) == []
    left = onboarded.json("resources")
    assert left["allocated"]["cpu_cores"] == 0
    assert left["free"] == left["onboarded"]


def test_a_service_runs_until_it_is_shut_down(onboarded: Site, tmp_path: Path) -> None:
    require("docker")
    spec = tmp_path / "service.yaml"
    spec.write_text(
        "allocations:\n  sleeper:\n    type: service\n    executor: docker\n"
        "    resources: {cpu: {cores: 0.25}, ram: {size: 64MiB}, disk: {size: 64MiB}}\n"
        "    execution: {type: docker, image: 'dms.local/base:1', cmd: [sleep, '600']}\n"
        "nodes:\n  here: {allocations: [sleeper]}\n"
    )
    answer = onboarded.json("deploy", "-f", str(spec), "--wait")
    assert answer["status"] == "Running", answer
    assert containers_of(answer["id"]) == ["running"]
    during = onboarded.json("resources")
    assert during["allocated"] == {
        "cpu_cores": 0.25,
        "ram_bytes": 64 << 20,
        "disk_bytes": 64 << 20,
        "gpus": [],
    }
    refused = onboarded.cli("offboard", check=False)
    assert refused.returncode == 1
    assert "sleeper" in refused.stdout + refused.stderr
    onboarded.cli("shutdown", answer["id"], "--wait")
    assert onboarded.json("show", answer["id"])["status"] == "Completed"
    assert containers_of(answer["id"]) == []
    assert onboarded.json("resources")["allocated"]["cpu_cores"] == 0


def test_a_client_reaches_a_server_by_its_name(onboarded: Site) -> None:
    require("docker")
    answer = onboarded.json("deploy", "-f", str(EXAMPLES / "web-and-client.yaml"), "--wait", timeout_s=180)
    assert answer["status"] == "Running", answer
    shown = onboarded.json("show", answer["id"])
    assert {item["status"] for item in shown["allocations"]} <= {"running", "completed"}
    onboarded.cli("shutdown", answer["id"], "--wait")
    assert onboarded.json("show", answer["id"])["status"] == "Completed"


def test_what_does_not_fit_says_every_number(onboarded: Site, tmp_path: Path) -> None:
    spec = tmp_path / "big.yaml"
    spec.write_text(
        "allocations:\n  big:\n    type: task\n    executor: docker\n"
        "    resources: {cpu: {cores: 400}, ram: {size: 4000}, disk: {size: 1}}\n"
        "    execution: {type: docker, image: 'dms.local/base:1', cmd: ['true']}\n"
        "nodes:\n  here: {allocations: [big]}\n"
    )
    done = onboarded.cli("deploy", "-f", str(spec), "--wait", "--json", check=False)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "Failed"
    assert "not placed" in answer["reason"]
    shown = onboarded.json("show", answer["id"])
    assert {"cpu", "ram"} <= {reason["check"] for reason in shown["reasons"]}
    assert all(reason["needed"] and reason["available"] for reason in shown["reasons"])


def test_a_failing_task_shows_its_exit_code(onboarded: Site, tmp_path: Path) -> None:
    require("docker")
    spec = tmp_path / "failing.yaml"
    spec.write_text(
        "allocations:\n  failing:\n    type: task\n    executor: docker\n"
        "    resources: {cpu: {cores: 0.25}, ram: {size: 64MiB}, disk: {size: 64MiB}}\n"
        "    execution: {type: docker, image: 'dms.local/base:1', cmd: [sh, -c, 'echo oops >&2; exit 7']}\n"
        "nodes:\n  here: {allocations: [failing]}\n"
    )
    done = onboarded.cli("deploy", "-f", str(spec), "--wait", "--json", check=False)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "Failed"
    shown = onboarded.json("show", answer["id"])
    assert [(item["reason"], item["exit_code"]) for item in shown["allocations"]] == [("exit_code", 7)]
    assert "oops" in onboarded.cli("logs", answer["id"], "--stream", "stderr").stdout


def test_forbidden_options_are_refused_before_anything_is_written(onboarded: Site, tmp_path: Path) -> None:
    spec = tmp_path / "privileged.yaml"
    spec.write_text(
        "allocations:\n  evil:\n    type: task\n    executor: docker\n"
        "    resources: {cpu: {cores: 0.25}, ram: {size: 64MiB}, disk: {size: 64MiB}}\n"
        "    execution: {type: docker, image: 'dms.local/base:1', cmd: ['true'], privileged: true}\n"
        "nodes:\n  here: {allocations: [evil]}\n"
    )
    before = onboarded.json("get", "deployments")["total"]
    done = onboarded.cli("deploy", "-f", str(spec), "--json", check=False)
    assert done.returncode == 1
    assert "privileged" in done.stdout
    assert onboarded.json("get", "deployments")["total"] == before


@pytest.mark.parametrize("hidden", [False, True])
def test_the_demo_runs_with_and_without_docker(hidden: bool, tmp_path: Path) -> None:
    require("bwrap" if hidden else "docker")
    environment = {"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"} if hidden else {}
    with running_site(environment, start=False) as fresh:
        done = fresh.cli("demo", "--once", "--json", timeout_s=300)
        answer = json.loads(done.stdout)
        assert answer["status"] == "Completed"
        assert answer["executor"] == ("process" if hidden else "docker")
        assert "hello" in answer["log"].lower()
        assert answer["submit_to_running_s"] > 0
        assert not (fresh.home / "run" / "supervisor.pid").exists() or not _alive(fresh)


def _alive(site: Site) -> bool:
    try:
        os.kill(int((site.home / "run" / "supervisor.pid").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True

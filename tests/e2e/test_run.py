"""`./dms run` against a real site: log, exit code, reasons, time limit, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.e2e.working import IMAGE, containers
from tests.support.require import ROOT, require
from tests.support.services import wait_for
from tests.support.site import Site


@pytest.fixture(scope="module")
def onboarded(site: Site) -> Site:
    require("docker")
    site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "10GiB", "--no-gpu")
    return site


def test_the_streams_and_the_exit_code_are_the_commands(onboarded: Site) -> None:
    done = onboarded.cli("run", IMAGE, "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "err\n" in done.stderr


def test_one_document_at_the_end_from_elsewhere_too(onboarded: Site) -> None:
    shell = 'echo "$A ${B:-unset}"; ls -d /data'
    options = ("-e", "A=${A}", "-v", "data:/data", "-p", "8080", "--name", "mine")
    where = ("--url", onboarded.url, "--token", onboarded.token)
    done = onboarded.cli("run", "--json", *options, *where, IMAGE, "--", "sh", "-c", shell)
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["exit_code"]) == ("Completed", 0)
    assert answer["log"] == "${A} unset\n/data\n"
    assert onboarded.json("show", answer["id"])["name"] == "mine"


def test_a_process_needs_no_image(onboarded: Site) -> None:
    require("bwrap")
    done = onboarded.cli("run", "--executor", "process", "--", "sh", "-c", "echo hi; exit 3", check=False)
    assert (done.returncode, done.stdout) == (3, "hi\n")


def test_what_does_not_fit_says_every_reason(onboarded: Site) -> None:
    done = onboarded.cli("run", "--cpu", "64", "--ram", "900GiB", IMAGE, "--", "true", check=False)
    assert done.returncode == 125
    assert "cpu: 64 cores needed, 1 core available" in done.stderr
    assert "ram: 900 GiB needed" in done.stderr


def test_its_time_is_up(onboarded: Site) -> None:
    done = onboarded.cli("run", "--json", "--timeout", "2", IMAGE, "--", "sleep", "600", check=False)
    assert done.returncode == 3
    assert not containers(json.loads(done.stdout)["id"])


def test_ctrl_c_shuts_it_down(onboarded: Site) -> None:
    environment = os.environ | {"DMS_HOME": str(onboarded.home)}
    command = [str(ROOT / "dms"), "run", "--name", "ctrl-c", IMAGE, "--", "sh", "-c", "echo begun; sleep 600"]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # The test may itself run with Ctrl-C set aside; a person's shell does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said
    (item,) = onboarded.json("get", "deployments", "--search", "ctrl-c")["items"]
    assert item["status"] == "Completed"
    wait_for(lambda: not containers(item["id"]), timeout_s=60, what="its container is gone")


def test_detached_it_goes_on(onboarded: Site) -> None:
    key = onboarded.cli("run", "-d", IMAGE, "--", "sh", "-c", "echo later").stdout.strip()

    def completed() -> bool:
        return bool(onboarded.json("show", key)["status"] == "Completed")

    wait_for(completed, timeout_s=60, what="the detached run is done")
    assert "later" in onboarded.json("logs", key)["Stdout"]


def test_what_the_owner_does_not_want_says_so(onboarded: Site) -> None:
    said = onboarded.json("preferences", "--set", "owner_share=20", "--set", 'min_price="0.10 EUR"')
    assert said["Preferences"]["min_price"] == {"amount": "0.10", "currency": "EUR"}
    try:
        done = onboarded.cli("run", "--json", "--cpu", "0.5", IMAGE, "--", "true", check=False)
        checks = {reason["check"] for reason in json.loads(done.stdout)["reasons"]}
        assert (done.returncode, checks) == (125, {"preferences.owner_share", "preferences.min_price"})
    finally:
        assert onboarded.json("preferences", "--clear")["Preferences"] == {}
    assert onboarded.cli("run", IMAGE, "--", "true").returncode == 0


def test_the_worker_measures_the_machine(onboarded: Site) -> None:
    done = onboarded.json("benchmark", timeout_s=200)
    assert (done["Status"], done["Current"]) == ("done", True), done
    for name in ("cpu_single", "cpu_all", "memory", "disk_write", "disk_read", "disk_latency", "loopback"):
        assert done["Results"][name]["value"] > 0
        assert done["Results"][name]["method"]
    said = onboarded.json("capability", "--price", "0.50 EUR", "--location", "Europe/DE")
    assert said["Registered"]["Benchmark"]["memory"] == done["Results"]["memory"]
    assert said["Registered"]["Location"] == {"continent": "Europe", "country": "DE"}


def test_with_rm_nothing_is_left(onboarded: Site) -> None:
    done = onboarded.cli("run", "--rm", "--json", IMAGE, "--", "echo", "gone")
    answer = json.loads(done.stdout)
    assert answer["log"] == "gone\n"
    assert onboarded.cli("show", answer["id"], check=False).returncode == 1

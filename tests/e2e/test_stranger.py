"""Somebody who has just come: an odd home, a terminal, Ctrl-C where people press it, wrong input on a live site."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.require import require
from tests.support.site import ROOT, Site

DMS = str(ROOT / "dms")
PATIENCE_S = 40.0
TICKER = """
version: "V1"
metadata: {name: ticker}
allocations:
  one:
    type: service
    executor: docker
    resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 64MiB}}
    execution:
      type: docker
      image: dms.local/base:1
      cmd: ["sh", "-c", "while :; do echo tick; sleep 1; done"]
nodes:
  node1: {allocations: [one]}
"""


def typed(arguments: list[str], home: Path, until: str) -> tuple[int, str]:
    """Run `./dms` in a terminal 40 columns wide, press Ctrl-C once `until` is seen; exit code and all output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(DMS_HOME=str(home), TERM="xterm", COLUMNS="40")
        # A run in the background ignores it, and hands that down; a person's terminal does not.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(DMS, [DMS, *arguments])
    seen, pressed, end = b"", False, time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # the other side has closed
                break
            if not chunk:
                break
            seen += chunk
            if not pressed and until.encode() in seen:
                os.write(terminal, b"\x03")
                pressed, end = True, time.monotonic() + PATIENCE_S
        else:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(terminal)
    assert pressed, seen.decode(errors="replace")
    return code, seen.decode(errors="replace")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site in a home with a blank, a quote and letters beyond ASCII, too deep for a socket's path."""
    require("docker")
    site = Site(tmp_path_factory.mktemp("höme 日本 'q") / ("long-" * 20))
    try:
        site.first_output = site.up().stdout
        site.cli("onboard", "--cpu", "1", "--ram", "3GiB", "--disk", "2GiB", "--no-gpu")
        yield site
    finally:
        site.cli("down", check=False)


def test_the_first_start_says_who_gets_in_and_what_comes_next(odd: Site) -> None:
    assert "admin name: admin   password: " in odd.first_output
    assert "./dms user login-link" in odd.first_output
    assert "./dms deploy -f examples/hello.yaml" in odd.first_output
    again = odd.cli("up").stdout
    assert again.startswith("already running: http://")
    assert "password" not in again


def test_an_example_runs_twice_and_is_found_by_its_name(odd: Site) -> None:
    for _ in range(2):
        assert odd.json("deploy", "-f", str(ROOT / "examples/hello.yaml"), "--wait")["status"] == "Completed"
    assert odd.cli("logs", "hello").stdout == "hello from hello\n"


def test_ctrl_c_leaves_a_followed_log_and_the_service_running(odd: Site, tmp_path: Path) -> None:
    file = tmp_path / "ticker.yaml"
    file.write_text(TICKER)
    assert odd.json("deploy", "-f", str(file), "--wait")["status"] == "Running"
    code, text = typed(["logs", "ticker", "--follow"], odd.home, "tick")
    assert code == 130
    assert "interrupted" in text
    assert "Traceback" not in text
    assert odd.json("show", "ticker")["status"] == "Running"
    odd.cli("shutdown", "ticker", "--wait")


def test_giving_up_to_watch_is_exit_3_and_says_that_it_goes_on(odd: Site, tmp_path: Path) -> None:
    file = tmp_path / "sleeper.yaml"
    changed = TICKER.replace("while :; do echo tick; sleep 1; done", "sleep 600").replace("service", "task")
    file.write_text(changed.replace("ticker", "sleeper"))
    done = odd.cli("deploy", "-f", str(file), "--wait", "--timeout", "1", "--json", check=False)
    assert done.returncode == 3
    made = json.loads(done.stdout)
    assert f"./dms show {made['id'][:8]}" in done.stderr
    odd.cli("shutdown", made["id"], "--wait")


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["show", "nosuch"], 1, "not_found"),
        (["logs", "nosuch"], 1, "not_found"),
        (["shutdown", "nosuch"], 1, "not_found"),
        (["get", "allocations", "--status", "nonsense"], 1, "invalid_request"),
        (["get", "deployments", "--sort", "nonsense"], 1, "invalid_request"),
        (["onboard", "--cpu", "0", "--ram", "4", "--disk", "1"], 1, "capacity_not_met"),
        (["onboard", "--cpu", "1", "--ram", "lots", "--disk", "1"], 1, "bad_request"),
        (["get", "nodes", "--token", "wrong"], 1, "not_authenticated"),
        (["user", "token", "nobody"], 1, "not_found"),
        (["user", "add", "admin"], 1, "invalid_request"),
        (["actor", "cmd", "/public/helo"], 1, "unknown_behavior"),
        (["up", "--port", "99999"], 2, "usage"),
    ],
)
def test_what_is_wrong_is_one_document_with_what_to_do(
    odd: Site, arguments: list[str], code: int, kind: str
) -> None:
    done = odd.cli(*arguments, "--json", check=False)
    assert done.returncode == code
    document = json.loads(done.stdout)
    assert document["type"] == f"urn:dms:problem:{kind}"
    assert document["hint"]
    assert document["detail"] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_and_a_home_that_is_none(odd: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    port = httpx.URL(odd.url).port
    done = other.up("--port", str(port), check=False)
    assert (done.returncode, "--port N" in done.stderr) == (1, True)
    (tmp_path / "file").write_text("")
    done = Site(tmp_path / "file").up(check=False)
    assert done.returncode == 1
    assert f"the home {tmp_path / 'file'} cannot be written" in done.stderr


def test_ctrl_c_ends_a_site_in_the_foreground_and_home_may_be_an_option(tmp_path: Path) -> None:
    home, person = tmp_path / "fore ground", tmp_path / "person"
    person.mkdir()
    code, text = typed(["up", "--port", "0", "--home", str(home)], person / "unused", "Ctrl-C stops")
    assert code == 0
    assert text.rstrip().endswith("stopped")
    assert "password: " in text
    assert list(person.iterdir()) == [], "a home that --home has overruled is not touched"
    done = subprocess.run(
        [DMS, "status", "--home", str(home), "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["running"] is False

"""`./dms exec` on a running site, in a real container and a real sandbox: terminal, pipes, codes, rights, ends."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.e2e.working import deploy, ensemble, kill, onboard_when_free, process, reached, replaced, shut_down
from tests.support.engine import client
from tests.support.pseudo import Pseudo
from tests.support.services import wait_for
from tests.support.site import ROOT, Site, running_site

EXEC = "/dms/node/allocation/exec"
LIVES = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
BLOB_BYTES = 3 << 20
MIB = 1 << 20


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site that finds lost terminals soon, with a machine to offer."""
    client().close()
    with running_site({"DMS_EXEC_LOST_S": "4", "DMS_EXEC_RECHECK_S": "0.4"}) as running:
        onboard_when_free(running)
        yield running


@pytest.fixture(scope="module")
def places(site: Site) -> Iterator[dict[str, str]]:
    """One deployment in a container, one in a sandbox."""
    made = {
        name: deploy(site, ensemble(LIVES, executor=name), Name=f"in-{name}")
        for name in ("docker", "process")
    }
    for deployment in made.values():
        reached(site, deployment, "Running")
    yield made
    shut_down(site, *made.values())


@pytest.fixture(params=["docker", "process"])
def name(request: pytest.FixtureRequest, places: dict[str, str]) -> str:
    return f"in-{request.param}"


def pseudo(site: Site, *words: str, **size: int) -> Pseudo:
    environment = {**os.environ, **site.environment, "DMS_HOME": str(site.home), "TERM": "xterm"}
    return Pseudo([str(ROOT / "dms"), "exec", *words], environment, **size)


def piped(
    site: Site, *words: str, data: bytes = b"", home: bool = True
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **site.environment} | ({"DMS_HOME": str(site.home)} if home else {})
    return subprocess.run(
        [str(ROOT / "dms"), "exec", *words], input=data, capture_output=True, timeout=120, env=environment
    )


def ticket(site: Site, deployment: str, *command: str, token: str = "", **more: Any) -> httpx.Response:
    payload = {"EnsembleID": deployment, "Command": list(command)} | more
    headers = {"Authorization": f"Bearer {token or site.token}"}
    return httpx.post(f"{site.url}/api/v1{EXEC}", json=payload, headers=headers, trust_env=False)


def opened(site: Site, path: str, *, token: str = "", origin: str = "") -> ClientConnection:
    return connect(
        f"{site.url.replace('http', 'ws', 1)}{path}",
        origin=Origin(origin or site.url),
        additional_headers={"Authorization": f"Bearer {token or site.token}"},
        proxy=None,
        max_size=None,
        max_queue=2,
        close_timeout=1,
        compression=None,
    )


def inside(name: str, deployment: str, text: str) -> bool:
    """Say whether a process whose command line holds `text` runs on this machine for the deployment."""
    if name == "in-docker":
        engine = docker.from_env()
        try:
            (found,) = engine.containers.list(filters={"label": f"dms.deployment={deployment}"})
            return text in str(found.top()["Processes"])
        finally:
            engine.close()
    return any(
        text in " ".join(one.info["cmdline"] or ()) and one.info["name"] == text.split()[0]
        for one in psutil.process_iter(["cmdline", "name"])
    )


def audited(site: Site, outcome: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {site.token}"}
    params = {"path": EXEC, "outcome": outcome, "limit": "100"}
    answer = httpx.get(f"{site.url}/api/v1/audit/", params=params, headers=headers, trust_env=False)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_pipes_are_binary_and_the_code_comes_back(site: Site, name: str) -> None:
    blob = os.urandom(BLOB_BYTES)
    done = piped(site, name, "--", "sh", "-c", "cat; echo err >&2; exit 7", data=blob)
    assert (done.returncode, done.stderr) == (7, b"err\n")
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(blob).digest()
    done = piped(site, name, "one", "-i", "--", "cat", data="grüße 漢字\n".encode())
    assert (done.returncode, done.stdout.decode()) == (0, "grüße 漢字\n")
    assert piped(site, name, "--", "no-such-program").returncode == 127
    assert piped(site, name, data=b"echo in $((40+2)); exit 4\n").stdout == b"in 42\n"


def test_other_sites_by_address_and_json(site: Site, name: str) -> None:
    done = piped(
        site,
        "--url",
        site.url,
        "--token",
        site.token,
        name,
        "--",
        "sh",
        "-c",
        'echo "$1"',
        "sh",
        "--help",
        home=False,
    )
    assert (done.returncode, done.stdout) == (0, b"--help\n")
    done = piped(site, name, "--json", "--", "sh", "-c", "echo hi; exit 3")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == [{"stream": "stdout", "text": "hi\n"}, {"exit_code": 3, "reason": ""}]


def test_a_real_terminal(site: Site, name: str, places: dict[str, str]) -> None:
    with closing(pseudo(site, name, rows=31, columns=97)) as shell:
        shell.type("stty size; echo rea''dy $TERM\n")
        assert "31 97" in shell.until("ready xterm")
        assert shell.raw()
        shell.type("printf '%s|\\n' 'ä漢字👩‍🚀e\u0301' e''nd\n")
        shell.until("ä漢字👩‍🚀e\u0301|")
        shell.until("end|")
        shell.resize(44, 133)
        shell.type("until stty size | grep '44 133'; do sleep 0.1; done; echo resi''zed\n")
        shell.until("resized")
        shell.type("sleep 7000\n")
        deployment = places[name.removeprefix("in-")]
        wait_for(lambda: inside(name, deployment, "sleep 7000"), what="the sleep")
        shell.type("\x03")
        shell.until("^C")
        shell.type("echo still $((40+2)) he''re\n")
        shell.until("still 42 here")
        shell.type("exit 9\n")
        assert shell.ended() == 9
        assert not shell.raw()


def test_ctrl_c_goes_inside_without_a_terminal_too(site: Site, name: str) -> None:
    script = "trap 'echo caught; exit 5' INT; echo on; while :; do sleep 0.1; done"
    environment = {**os.environ, "DMS_HOME": str(site.home)}
    line = [str(ROOT / "dms"), "exec", name, "--", "sh", "-c", script]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"on\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline() == b"caught\n"
        assert running.wait(60) == 5


def test_our_own_failures_are_125(site: Site, places: dict[str, str]) -> None:
    done = piped(site, "no-such-deployment", "--", "true")
    assert done.returncode == 125
    assert b"no-such-deployment not found" in done.stderr
    assert piped(site, "in-docker", "nope", "--", "true").returncode == 125
    assert piped(site, "--url", site.url, "--token", "bad", "in-docker", "--", "true").returncode == 125
    assert (
        piped(site, "--url", "http://127.0.0.1:9", "--token", "x", "in-docker", "--", "true").returncode
        == 125
    )
    assert piped(site, "in-process", "--user", "root", "--", "true").returncode == 125
    assert piped(site, "in-docker", "--nonsense").returncode == 2
    # Somebody else's work does not exist; without the capability it is named.
    site.cli("user", "add", "carol")
    carol = site.json("user", "token", "carol")["token"]
    assert ticket(site, places["docker"], "true", token=carol).status_code == 404
    assert piped(site, "--url", site.url, "--token", carol, "in-docker", "--", "true").returncode == 125


def test_a_ticket_is_good_once_and_for_its_owner_alone(site: Site, places: dict[str, str]) -> None:
    deployment = places["process"]
    path = ticket(site, deployment, "sleep", "1").json()["Path"]
    with pytest.raises(InvalidStatus):
        opened(site, path, origin="http://evil.example")
    with pytest.raises(InvalidStatus):
        opened(site, path, token="nobodys")
    dora = site.json("user", "token", "admin")["token"]
    with opened(site, path, token=dora) as first:
        assert "started" in json.loads(first.recv())
        with opened(site, path) as second:
            assert json.loads(second.recv())["error"]["type"].endswith("ticket_spent")


def test_closing_the_socket_ends_what_runs_inside(site: Site, name: str, places: dict[str, str]) -> None:
    deployment = places[name.removeprefix("in-")]
    path = ticket(site, deployment, "sh", "-c", "trap '' HUP; sleep 7001; :", TTY=True).json()["Path"]
    with opened(site, path) as socket:
        assert "started" in json.loads(socket.recv())
        wait_for(lambda: inside(name, deployment, "sleep 7001"), what="the sleep")
    wait_for(lambda: not inside(name, deployment, "sleep 7001"), what="the end of the sleep")
    wait_for(
        lambda: any("closed" in entry["reason"] for entry in audited(site, "failed")), what="the audit entry"
    )


def test_a_flood_is_held_up(site: Site, name: str, places: dict[str, str]) -> None:
    """A reader that does not read: the command waits, the site's memory does not grow."""
    deployment = places[name.removeprefix("in-")]
    web = psutil.Process(int(process(site, "web")["pid"]))
    path = ticket(site, deployment, "sh", "-c", "yes 0123456789abcdef", TTY=True).json()["Path"]
    with opened(site, path) as socket:
        assert "started" in json.loads(socket.recv())
        before = web.memory_info().rss

        def bytes_out() -> int:
            headers = {"Authorization": f"Bearer {site.token}"}
            answer = httpx.get(f"{site.url}/api/v1/exec-sessions/", headers=headers, trust_env=False)
            return int(answer.json()["items"][0]["bytes_out"])

        seen: list[int] = []

        def standing() -> bool:
            seen.append(bytes_out())
            return len(seen) > 3 and seen[-1] == seen[-4] > 0

        wait_for(standing, what="the flood to stand", every_s=0.6)
        assert seen[-1] < 32 * MIB
        assert web.memory_info().rss - before < 48 * MIB
        socket.send(b"\x03")


def test_who_did_what_is_written_down(site: Site, places: dict[str, str]) -> None:
    piped(site, "in-process", "--", "sh", "-c", "echo noted; exit 6")
    ended, asked = audited(site, "allowed")[:2]
    assert asked["request"]["Command"] == ["sh", "-c", "echo noted; exit 6"]
    assert asked["source"] == "cli"
    assert ended["request"]["ExitCode"] == 6
    assert ended["request"]["BytesOut"] == len("noted\n")
    assert "exit code 6 after" in ended["reason"]
    events = site.json("show", "in-process")["events"]
    assert any(event["text"].startswith("exec by admin in here.one: sh -c") for event in events)


def test_nothing_stays_when_the_web_process_is_killed(site: Site, places: dict[str, str]) -> None:
    shells = [pseudo(site, f"in-{place}", "--", "sh", "-c", "echo on; sleep 7002; :") for place in places]
    for shell in shells:
        shell.until("on")
    pid = kill(site, "web")
    for shell in shells:
        assert shell.ended() == 125
        assert not shell.raw()
        shell.close()
    replaced(site, "web", pid)
    for place, deployment in places.items():
        name = f"in-{place}"
        wait_for(lambda n=name, d=deployment: not inside(n, d, "sleep 7002"), what=f"the end {name}")  # type: ignore[misc]
    wait_for(lambda: any("lost" in entry["reason"] for entry in audited(site, "failed")), what="its entry")


def test_the_end_of_the_allocation_ends_it_and_says_so(site: Site) -> None:
    for executor in ("docker", "process"):
        deployment = deploy(site, ensemble(LIVES, executor=executor), Name=f"short-{executor}")
        reached(site, deployment, "Running")
        with closing(pseudo(site, f"short-{executor}", "--", "sh", "-c", "echo on; sleep 7003; :")) as shell:
            shell.until("on")
            shut_down(site, deployment)
            code = shell.ended()
            assert code in (137, 143, 125), shell.written
            assert not shell.raw()
        assert piped(site, f"short-{executor}", "--", "true").returncode == 125


def test_the_stop_of_the_site_ends_terminals(site: Site, places: dict[str, str]) -> None:
    """The last one: the site is another one afterwards."""
    shells = [pseudo(site, f"in-{place}", "--", "sh", "-c", "echo on; sleep 7004; :") for place in places]
    try:
        for shell in shells:
            shell.until("on")
        site.cli("down")
        for shell in shells:
            assert shell.ended() == 125
            assert not shell.raw()
        for place, deployment in places.items():
            assert not inside(f"in-{place}", deployment, "sleep 7004")
    finally:
        for shell in shells:
            shell.close()
        site.up()

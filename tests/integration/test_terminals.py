"""Commands inside a real container and real sandboxes: bytes, exit codes, windows, signals, and their end."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker import DockerClient

from deployments.outside import Command, Terminal
from tests.integration.docker_rig import Rig
from tests.integration.docker_rig import rig as rig  # noqa: PLC0414 - a fixture
from tests.integration.process_site import process_bench
from tests.support.require import require
from tests.support.services import wait_for
from workers.executors.base import ExecutorError
from workers.executors.docker.terminal import DockerTerminal
from workers.executors.process.terminal import ProcessTerminal, environment_inside

LIVES = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
BLOB_BYTES = 4 << 20


@dataclass
class Place:
    """Something that runs, and how to get in and to look at it from outside."""

    open: Callable[[Command], Terminal]
    processes: Callable[[], str]


@pytest.fixture(params=["docker", "bwrap", "unshare"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "docker":
        rig: Rig = request.getfixturevalue("rig")
        name = rig.start(*LIVES)
        client = request.getfixturevalue("docker_client")

        def listing() -> str:
            (found,) = client.api.containers(filters={"label": [f"dms.execution={name}"]})
            return str(client.api.top(found["Id"])["Processes"])

        yield Place(lambda command: rig.docker.open_terminal(name, command), listing)
        return
    require("cgroup")
    require("bwrap" if request.param == "bwrap" else "userns")
    with process_bench(request.param) as bench:
        name = bench.start(*LIVES, params={"environment": {"ANSWER": "a=42"}}).execution_id

        def lines() -> str:
            texts = []
            for pid in bench.pids(name):
                try:
                    texts.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
                except OSError:
                    continue
            return "\n".join(texts)

        yield Place(lambda command: bench.executor.open_terminal(name, command), lines)


def finish(terminal: Terminal) -> tuple[bytes, bytes, int]:
    """Return both outputs and the exit code of a command that ends by itself."""
    out = {"stdout": b"", "stderr": b""}
    try:
        while (piece := terminal.read()) is not None:
            out[piece[0]] += piece[1]
        return out["stdout"], out["stderr"], terminal.wait()
    finally:
        terminal.close()


def run(place: Place, *argv: str, **how: object) -> tuple[bytes, bytes, int]:
    return finish(place.open(Command(argv=argv, **how)))  # type: ignore[arg-type]


def until(terminal: Terminal, text: bytes) -> bytes:
    """Read until `text` has come."""
    held = b""
    while text not in held:
        piece = terminal.read()
        assert piece is not None, held
        held += piece[1]
    return held


def test_outputs_are_apart_and_the_code_comes_back(place: Place) -> None:
    assert run(place, "sh", "-c", "echo out; echo err >&2; exit 7") == (b"out\n", b"err\n", 7)
    assert run(place, "sh", "-c", "kill -9 $$")[2] == 137
    out, err, code = run(place, "no-such-program")
    assert (out, code) == (b"", 127)
    assert b"no-such-program" in err


def test_megabytes_pass_both_ways_unchanged(place: Place) -> None:
    blob = os.urandom(BLOB_BYTES)
    terminal = place.open(Command(argv=("cat",)))

    def feed() -> None:
        terminal.write(blob)
        terminal.close_input()

    feeder = threading.Thread(target=feed)
    feeder.start()
    out, _, code = finish(terminal)
    feeder.join()
    assert (len(out), hashlib.sha256(out).digest(), code) == (BLOB_BYTES, hashlib.sha256(blob).digest(), 0)


def test_the_window_is_right_from_the_first_moment_and_can_be_resized(place: Place) -> None:
    assert run(place, "stty", "size", tty=True, rows=33, columns=111)[0] == b"33 111\r\n"
    script = 'trap "stty size" WINCH; echo ready; while :; do sleep 0.1; done'
    terminal = place.open(Command(argv=("sh", "-c", script), tty=True, rows=10, columns=20))
    until(terminal, b"ready")
    terminal.resize(44, 122)
    until(terminal, b"44 122")
    terminal.close()


def test_what_is_typed_is_answered_in_any_alphabet(place: Place) -> None:
    terminal = place.open(Command(tty=True))
    terminal.write(b"stty -echo; echo begin\n")
    until(terminal, b"begin\r\n")
    terminal.write("printf '%s|' ä 漢字 👩‍🚀 é; printf '%s\\n' $TERM\n".encode())
    assert "ä|漢字|👩‍🚀|é|xterm-256color".encode() in until(terminal, b"color\r\n")
    terminal.write(b"exit 5\n")
    assert finish(terminal)[2] == 5


def test_ctrl_c_ends_the_foreground_alone(place: Place) -> None:
    terminal = place.open(Command(argv=("sh",), tty=True))
    terminal.write(b"echo be''gun; sleep 1000\n")
    until(terminal, b"begun\r\n")
    wait_for(lambda: "sleep 1000" in place.processes(), what="the sleep")
    terminal.write(b"\x03")
    terminal.write(b"echo still $((40+2))\n")
    until(terminal, b"still 42")
    terminal.close()


def test_a_signal_reaches_a_command_without_a_terminal(place: Place) -> None:
    terminal = place.open(
        Command(argv=("sh", "-c", "trap 'exit 9' INT; echo on; while :; do sleep 0.1; done"))
    )
    until(terminal, b"on\n")
    terminal.signal("INT")
    assert finish(terminal)[2] == 9


@pytest.mark.parametrize("tty", [True, False])
def test_closing_ends_everything_of_the_session(place: Place, tty: bool) -> None:
    script = "trap '' HUP; sleep 1001 & echo here; sleep 1002"
    terminal = place.open(Command(argv=("sh", "-c", script), tty=tty))
    until(terminal, b"here")
    wait_for(lambda: "sleep 1002" in place.processes(), what="the sleep")
    reader = threading.Thread(target=terminal.read)
    reader.start()
    terminal.close()
    reader.join(10)
    assert not reader.is_alive()
    wait_for(lambda: "sleep 100" not in place.processes(), what="the end of what was started")
    terminal.close()


def test_nothing_is_gained_by_going_in(place: Place) -> None:
    """Same identity, same bounds, no new privileges."""
    names = "Uid|Gid|NoNewPrivs|CapBnd|CapPrm|CapEff"
    first = run(place, "grep", "-E", names, "/proc/1/status")[0]
    mine = run(place, "grep", "-E", names, "/proc/self/status")[0]
    assert b"NoNewPrivs:\t1" in mine
    assert mine.splitlines()[-1:] == first.splitlines()[-1:]
    assert [line for line in mine.splitlines() if b"id:" in line] == [
        line for line in first.splitlines() if b"id:" in line
    ]


def test_nothing_of_the_outside_comes_along(place: Place) -> None:
    """No descriptor but the three, no process that helped to get in."""
    out = run(place, "sh", "-c", 'for fd in /proc/$$/fd/*; do [ -h "$fd" ] && echo "${fd##*/}"; done')[0]
    assert set(out.split()) <= {b"0", b"1", b"2", b"10", b"255"}  # the last two are a shell's own
    assert b"python" not in run(place, "sh", "-c", "cat /proc/[0-9]*/comm")[0]


def test_the_helper_of_a_sandbox_is_closed_to_what_runs_inside() -> None:
    """The kernel gives the files of a process that is not dumpable to root, whatever its user."""
    require("root")
    require("cgroup")
    require("userns")
    with process_bench("unshare") as bench:
        name = bench.start(*LIVES).execution_id
        terminal = bench.executor.open_terminal(name, Command(argv=("sleep", "100"), tty=True))
        assert isinstance(terminal, ProcessTerminal)
        helper = Path(f"/proc/{terminal._process.pid}")
        assert helper.joinpath("status").read_text().split("Uid:")[1].split()[1] != "0"
        assert helper.joinpath("environ").stat().st_uid == 0
        terminal.close()
        assert not helper.exists()


def test_a_container_is_cleared_from_within_where_the_host_does_not_let_us(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a worker without root's rights, or with an engine on another machine."""
    monkeypatch.setattr(DockerTerminal, "_on_host", lambda *_: False)
    name = rig.start(*LIVES)
    terminal = rig.docker.open_terminal(name, Command(argv=("sh", "-c", "trap '' HUP; sleep 1003"), tty=True))

    def listed() -> bool:
        out = finish(rig.docker.open_terminal(name, Command(argv=("sh", "-c", "cat /proc/[0-9]*/cmdline"))))[
            0
        ]
        return b"sleep\x001003" in out

    wait_for(listed, what="the sleep")
    left = rig.docker.open_terminal(name, Command(argv=("sleep", "1003")))
    terminal.close()
    rig.docker.end_terminal(name, left.handle)
    wait_for(lambda: not listed(), what="the end of the sleeps")
    left.close()


def test_a_container_without_a_shell_says_what_it_lacks(rig: Rig, docker_client: DockerClient) -> None:
    """Its terminal has the right size in the end: the engine sets it once the command runs."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as layer:
        layer.add(require("busybox"), "busybox")
    image = f"dms-test/bare-{uuid.uuid4().hex}"
    docker_client.api.import_image_from_data(content.getvalue(), repository=image, tag="1")
    try:
        params = {"image": f"{image}:1", "entrypoint": ["/busybox"]}
        name = rig.start("sleep", "1000", params=params)
        out, err, code = finish(rig.docker.open_terminal(name, Command()))
        assert (out, code) == (b"", 127)
        assert b"/bin/sh" in err
        sized = "until /busybox stty size 2>/dev/null | /busybox grep 33; do :; done"
        command = Command(argv=("/busybox", "sh", "-c", sized), tty=True, rows=33)
        assert finish(rig.docker.open_terminal(name, command)) == (b"33 80\r\n", b"", 0)
        command = Command(argv=("/busybox", "id", "-u"), user="4242")
        assert finish(rig.docker.open_terminal(name, command)) == (b"4242\n", b"", 0)
    finally:
        rig.clean(docker_client)
        docker_client.images.remove(f"{image}:1", force=True)


def test_what_does_not_run_is_not_entered(rig: Rig) -> None:
    with pytest.raises(ExecutorError, match="does not run"):
        rig.docker.open_terminal("nothing", Command())


def test_a_sandbox_has_one_user() -> None:
    require("cgroup")
    require("userns")
    with process_bench("unshare") as bench:
        name = bench.start(*LIVES).execution_id
        with pytest.raises(ExecutorError, match="runs as nobody"):
            bench.executor.open_terminal(name, Command(argv=("true",), user="root"))
        (out, _, code) = finish(bench.executor.open_terminal(name, Command(argv=("pwd",), user="nobody")))
        assert (out, code) == (b"/work\n", 0)


def test_the_workloads_environment_is_found_in_its_command_line() -> None:
    line = ["bwrap", "--", "/usr/bin/env", "-i", "A=b=c", "B=", "/bin/sh", "-c", "INIT", "dms", "/work", "x"]
    assert environment_inside(line) == ({"A": "b=c", "B": ""}, "/work")
    assert environment_inside(["something", "else"]) == ({}, "/")

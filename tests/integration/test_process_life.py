"""Limits, causes, logs and adoption of sandboxed processes, for both programs that make sandboxes."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.process_site import MIB, Bench, process_bench
from tests.support.require import require
from tests.support.services import wait_for
from workers.executors.base import Cause, ExecutorError, State
from workers.executors.process import ProcessExecutor
from workers.executors.process.shim import start_ticks


@pytest.fixture(scope="module", params=["bwrap", "unshare"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    require("cgroup")
    require("bwrap" if request.param == "bwrap" else "userns")
    with process_bench(request.param, log_max_bytes=256 * 1024) as made:
        yield made


@pytest.mark.parametrize("code", [0, 1, 7, 126])
def test_exit_codes_are_kept(bench: Bench, code: int) -> None:
    ended, log = bench.finish("sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert ended.exit_code == code
    assert ended.cause is (Cause.EXIT_CODE if code else Cause.COMPLETED)
    assert ended.started_at
    assert ended.ended_at
    assert ended.started_at <= ended.ended_at
    assert sorted(log.split()) == ["err", "out"]
    assert bench.log(ended.execution_id, "stdout") == "out\n"
    assert bench.log(ended.execution_id, "stderr") == "err\n"


def test_a_missing_command_is_a_failed_start(bench: Bench) -> None:
    with pytest.raises(ExecutorError) as failed:
        bench.start("no-such-program")
    assert failed.value.cause is Cause.START_FAILED
    assert "no-such-program: not found" in failed.value.detail


def test_a_missing_working_directory_is_a_failed_start(bench: Bench) -> None:
    with pytest.raises(ExecutorError, match="/nowhere"):
        bench.start("true", params={"working_directory": "/nowhere"})


def test_scripts_run_in_their_order_before_the_command(bench: Bench) -> None:
    scripts = (("z", b"#!/bin/sh\necho first >> /work/log\n"), ("a", b"echo second >> /work/log\n"))
    ended, log = bench.finish("cat", "log", scripts=scripts)
    assert log == "first\nsecond\n"
    assert ended.cause is Cause.COMPLETED


def test_a_failing_script_is_named(bench: Bench) -> None:
    with pytest.raises(ExecutorError, match="script setup") as failed:
        bench.start("true", scripts=(("setup", b"echo broken >&2; exit 3"),))
    assert "broken" in failed.value.detail


def test_a_memory_bomb_ends_for_its_reason(bench: Bench) -> None:
    ended, _ = bench.finish("sh", "-c", "x=x; while :; do x=$x$x; done", ram_bytes=32 * MIB)
    assert ended.cause is Cause.OOM_KILLED
    assert str(32 * MIB) in ended.detail


def test_a_file_bomb_on_tmp_counts_as_memory(bench: Bench) -> None:
    ended, _ = bench.finish("sh", "-c", "cat /dev/zero > /tmp/x", ram_bytes=32 * MIB, disk_bytes=0)
    assert ended.cause is Cause.OOM_KILLED


def test_a_fork_bomb_ends_for_its_reason(bench: Bench) -> None:
    started = bench.start("sh", "-c", "f() { f & f & wait; f; }; f; sleep 60", ram_bytes=512 * MIB)
    peak = 0
    while bench.executor.inspect(started.execution_id).state is State.RUNNING:
        peak = max(peak, bench.processes(started.execution_id))
    ended = bench.executor.inspect(started.execution_id)
    assert peak <= 256
    assert ended.cause is Cause.PIDS_LIMIT
    assert "256 processes" in ended.detail


DELETED = (
    "exec 4> gone; rm gone; head -c 2000000 /dev/zero >&4; "
    "exec 5> too; rm too; head -c 3500000 /dev/zero >&5; sleep 60"
)


@pytest.mark.parametrize(
    "script",
    [
        "head -c 9000000 /dev/zero > one",
        "for i in 1 2 3 4 5; do head -c 2000000 /dev/zero > $i; done; sleep 60",
        DELETED,
    ],
    ids=["one file", "many files", "deleted files"],
)
def test_a_full_disk_ends_for_its_reason(bench: Bench, script: str) -> None:
    ended, _ = bench.finish("sh", "-c", script, disk_bytes=4 * MIB)
    assert ended.cause is Cause.DISK_LIMIT, ended.detail


def test_disk_use_is_measured_without_following_links(bench: Bench) -> None:
    script = "head -c 1048576 /dev/zero > one; ln one two; ln -s /usr three; mkdir d; echo x > d/y; sleep 60"
    name = bench.start("sh", "-c", script).execution_id
    wait_for(lambda: bench.executor.disk_used_bytes(name) > MIB + 4096 * 2, what="the files")
    assert bench.executor.disk_used_bytes(name) <= MIB + 4096 * 4


def test_kill_names_its_cause(bench: Bench) -> None:
    name = bench.start("sh", "-c", "trap '' TERM; sleep 60").execution_id
    bench.executor.kill(name, Cause.DISK_LIMIT, "too much")
    ended = bench.executor.inspect(name)
    assert (ended.state, ended.cause, ended.detail) == (State.EXITED, Cause.DISK_LIMIT, "too much")
    bench.executor.kill(name, Cause.KILLED, "again")
    assert bench.executor.inspect(name).cause is Cause.DISK_LIMIT


def test_a_kill_from_outside_is_told_apart_from_memory(bench: Bench) -> None:
    name = bench.start("sleep", "60").execution_id
    for pid in bench.pids(name):
        with suppress(ProcessLookupError):  # the end of one may be the end of the others
            os.kill(pid, signal.SIGKILL)
    assert bench.ended(name).cause is Cause.KILLED


def test_stop_lets_it_end_by_itself(bench: Bench) -> None:
    name = bench.start(
        "sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    ).execution_id
    wait_for(lambda: "up" in bench.log(name), what="the trap")
    ended = bench.executor.stop(name, 20)
    assert (ended.state, ended.cause, ended.exit_code) == (State.EXITED, Cause.STOPPED, 0)
    assert bench.log(name) == "up\nbye\n"
    assert bench.executor.stop(name, 20) == ended


def test_stop_kills_after_the_grace(bench: Bench) -> None:
    name = bench.start("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done").execution_id
    wait_for(lambda: "up" in bench.log(name), what="the trap")
    ended = bench.executor.stop(name, 0.3)
    assert (ended.state, ended.cause, ended.exit_code) == (State.EXITED, Cause.STOPPED, 137)


def test_what_does_not_exist_is_harmless(bench: Bench) -> None:
    executor = bench.executor
    assert executor.inspect("nothing").state is State.GONE
    assert executor.stop("nothing", 1).state is State.GONE
    executor.kill("nothing", Cause.KILLED, "")
    executor.remove("nothing")
    executor.remove_deployment("nothing")
    assert list(executor.logs("nothing", stream="both", follow=True)) == []
    assert executor.disk_used_bytes("nothing") == 0
    assert executor.executions("did:key:somebody-else") == []


def test_logs_follow_until_the_end(bench: Bench) -> None:
    script = "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two"
    name = bench.start("sh", "-c", script).execution_id
    found: list[bytes] = []
    reader = threading.Thread(
        target=lambda: found.extend(bench.executor.logs(name, stream="stdout", follow=True)), daemon=True
    )
    reader.start()
    wait_for(lambda: b"".join(found) == b"one\n", what="the first line")
    (bench.executor.root / name / "work" / "go").touch()
    reader.join(20)
    assert not reader.is_alive()
    assert b"".join(found) == b"one\ntwo\n"


def test_logs_follow_can_be_stopped(bench: Bench) -> None:
    name = bench.start("sleep", "60").execution_id
    asked = iter([False, False, True])
    assert list(bench.executor.logs(name, stream="both", follow=True, stopped=lambda: next(asked))) == []


def test_logs_are_bounded_and_keep_the_newest(bench: Bench) -> None:
    ended, log = bench.finish("seq", "1", "200000")
    assert ended.cause is Cause.COMPLETED
    lines = log.splitlines()
    assert lines[-1] == "200000"
    assert len(log) <= 256 * 1024
    assert [int(line) for line in lines[1:]] == list(range(200_000 - len(lines) + 2, 200_001))
    assert bench.log(ended.execution_id, "stdout", tail=3) == "199998\n199999\n200000\n"
    assert bench.log(ended.execution_id, "stdout", tail=0) == ""
    wanted = len(lines) - 10
    assert bench.log(ended.execution_id, "stdout", tail=wanted).splitlines() == lines[10:]


def test_another_worker_adopts(bench: Bench) -> None:
    """Start in a process that ends at once; this one finds the execution, and starting again is harmless."""
    request = bench.request("sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.02; done; exit 5")
    child = os.fork()
    if child == 0:
        try:
            bench.executor.start(request)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    adopter = ProcessExecutor(bench.node_did, bench.home, backend=bench.executor.probe.wanted[0])
    names = [e.execution_id for e in adopter.executions(bench.node_did) if e.state is State.RUNNING]
    assert request.execution_id in names
    again = adopter.start(request)
    assert (again.state, again.allocation_id) == (State.RUNNING, "e_n.a")
    (adopter.root / request.execution_id / "work" / "go").touch()
    assert bench.ended(request.execution_id).exit_code == 5
    assert bench.log(request.execution_id) == "up\n"


@pytest.mark.parametrize(("boot", "cause"), [("", Cause.GONE), ("another", Cause.ENGINE_RESTARTED)])
def test_a_sandbox_without_its_parent_is_ended(bench: Bench, boot: str, cause: Cause) -> None:
    name = bench.start("sleep", "60").execution_id
    folder = bench.executor.root / name
    pids = bench.pids(name)
    status = json.loads((folder / "status.json").read_text())
    os.kill(status["pid"], signal.SIGKILL)
    if boot:  # as if the machine had been restarted since
        (folder / "status.json").write_text(json.dumps(status | {"boot_id": boot}))
    wait_for(lambda: bench.executor.inspect(name).state is State.EXITED, what="the end")
    assert bench.executor.inspect(name).cause is cause
    assert not any(start_ticks(pid) for pid in pids)


def test_watch_tells_each_end_once(bench: Bench) -> None:
    told: list[str] = []
    stop = threading.Event()
    watcher = threading.Thread(target=bench.executor.watch, args=(bench.node_did, told.append, stop))
    watcher.start()
    try:
        long = bench.start("sh", "-c", "while [ ! -e go ]; do sleep 0.02; done").execution_id
        short = bench.start("true").execution_id
        wait_for(lambda: short in told, what="the short one's end")
        assert long not in told
        (bench.executor.root / long / "work" / "go").touch()
        wait_for(lambda: long in told, what="the long one's end")
        assert told.count(short) == told.count(long) == 1
    finally:
        stop.set()
        watcher.join(10)
    assert not watcher.is_alive()


def test_remove_leaves_nothing(bench: Bench) -> None:
    name = bench.start("sh", "-c", "mkdir d; touch d/f; chmod 000 d; sleep 60").execution_id
    folder = bench.executor.root / name
    groups = json.loads((folder / "request.json").read_text())["group_folders"]
    bench.executor.remove(name)
    assert not folder.exists()
    assert not any(Path(group).exists() for group in groups)
    assert bench.executor.inspect(name).state is State.GONE

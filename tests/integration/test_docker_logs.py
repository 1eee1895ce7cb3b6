"""Logs of real containers: separated, followed to the last line, and given up when nobody reads."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from capabilities.numbers import NUMBERS
from deployments.logquery import LogQuery
from deployments.logtext import plain
from tests.integration.docker_registry import relay
from tests.integration.docker_rig import Rig, wait_for
from workers.executors.base import Cause, ExecutorError, State
from workers.executors.docker import DockerExecutor, logs
from workers.executors.docker.engine import Engine

SOCKET = Path("/var/run/docker.sock")


def test_streams_are_separate_and_the_tail_is_the_end(rig: Rig) -> None:
    execution_id = rig.start("sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done")
    rig.ended(execution_id)
    assert rig.text(execution_id, "stdout") == "out 1\nout 2\nout 3\n"
    assert rig.text(execution_id, "stderr") == "err 1\nerr 2\nerr 3\n"
    assert sorted(rig.text(execution_id, "both").split("\n"))[1:] == sorted(
        [f"{stream} {i}" for stream in ("out", "err") for i in (1, 2, 3)]
    )
    tail = b"".join(rig.docker.logs(execution_id, stream="stdout", tail=1))
    assert tail == b"out 3\n"
    tail = b"".join(rig.docker.logs(execution_id, stream="stdout", tail=2, follow=True))
    assert tail == b"out 2\nout 3\n"
    assert list(rig.docker.logs(execution_id, stream="stderr", tail=0)) == []
    assert len(b"".join(rig.docker.logs(execution_id, stream="stderr", tail=99)).splitlines()) == 3
    with pytest.raises(ExecutorError, match="stdout, stderr, both"):
        list(rig.docker.logs(execution_id, stream="all"))
    with pytest.raises(ExecutorError) as refusal:
        list(rig.docker.logs("no-such-execution", stream="both"))
    assert refusal.value.cause is Cause.GONE


def test_follow_gets_every_byte_up_to_the_last_line(rig: Rig) -> None:
    # Many lines, one longer than the engine's buffer, bytes that are no text, the end right after the last one.
    script = "seq 20000; head -c 100000 /dev/zero | tr '\\0' x; printf '\\377last'"
    execution_id = rig.start("sh", "-c", f"sleep 0.3; {script}")
    followed = b"".join(rig.docker.logs(execution_id, stream="stdout", follow=True))
    expected = (
        b"".join(b"%d\n" % number for number in range(1, 20001)) + b"x" * 100_000 + "\ufffdlast".encode()
    )
    assert hashlib.sha256(followed).digest() == hashlib.sha256(expected).digest()
    assert rig.docker.inspect(execution_id).state is State.EXITED


def test_follow_ends_when_nobody_wants_it_any_more(rig: Rig) -> None:
    execution_id = rig.start("sh", "-c", "echo first; sleep 600")
    threads = threading.active_count()
    given_up = threading.Event()
    chunks = rig.docker.logs(execution_id, stream="both", follow=True, stopped=given_up.is_set)
    assert next(chunks) == b"first\n"
    threading.Timer(0.1, given_up.set).start()
    assert list(chunks) == []
    abandoned: Iterator[bytes] = rig.docker.logs(execution_id, stream="both", follow=True)
    assert next(abandoned) == b"first\n"
    abandoned.close()  # type: ignore[attr-defined]
    wait_for(lambda: threading.active_count() <= threads, "no thread left behind")
    assert rig.running(execution_id)


def test_availability_follows_the_engine_and_the_watch_finds_it_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "availability", uncached(Engine.availability))
    seen: list[str] = []
    stop = threading.Event()
    with relay(SOCKET) as first:
        engine = Engine({"DOCKER_HOST": f"tcp://{first.host}"})
        far = DockerExecutor(rig.node, rig.home, engine=engine)
        assert far.availability().available and "Docker Engine" in far.availability().version
        watcher = threading.Thread(target=far.watch, args=(rig.node, seen.append, stop))
        watcher.start()
        before = rig.start("true")
        wait_for(lambda: before in seen, "an end over the first connection")
        port = first.port
    try:
        lost = far.availability()
        assert not lost.available and lost.hint
        with pytest.raises(ExecutorError) as refusal:
            far.inspect(before)
        assert (refusal.value.cause, refusal.value.transient) == (Cause.ENGINE_UNREACHABLE, True)
        meanwhile = rig.start("true")
        rig.ended(meanwhile)
        with relay(SOCKET, port=port):
            wait_for(lambda: meanwhile in seen, "the end that nobody saw")
            assert far.availability().available
            assert far.inspect(before).cause is Cause.COMPLETED
            stop.set()
            watcher.join(10)
    finally:
        stop.set()
        watcher.join(10)
    assert not watcher.is_alive()
    assert sorted(seen) == sorted([before, meanwhile])


def uncached(availability):
    def fresh(self: Engine):
        self._seen = None
        return availability(self)

    return fresh


def test_a_log_that_grows_too_fast_is_left_for_its_end_and_hurts_nobody_else(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = dataclasses.replace(NUMBERS, log_behind_max_s=0.5, log_follow_bytes_per_s=65_536)
    monkeypatch.setattr(logs, "NUMBERS", numbers)
    spam = rig.start("sh", "-c", "yes 0123456789012345678901234567890123456789012345678901234567890123456789")
    quiet = rig.start("sh", "-c", "while true; do echo here; sleep 0.2; done")
    given_up = threading.Event()
    texts: dict[str, list[bytes]] = {spam: [], quiet: []}

    def follow(execution_id: str) -> None:
        query = LogQuery(stream="stdout", follow=True, tail=0)
        for batch in rig.docker.pieces(execution_id, query, given_up.is_set):
            texts[execution_id].extend(payload for _, _, payload in batch)

    readers = [threading.Thread(target=follow, args=(name,)) for name in texts]
    for reader in readers:
        reader.start()
    try:
        wait_for(lambda: any(b" skipped: " in line for line in texts[spam]), "a said gap")
        seen = len(texts[quiet])
        wait_for(lambda: len(texts[quiet]) > seen + 3, "the other one's lines")
    finally:
        given_up.set()
        rig.docker.remove(spam)
        for reader in readers:
            reader.join(20)
    assert not any(reader.is_alive() for reader in readers)
    assert set(texts[quiet]) == {b"here\n"}


def test_since_until_and_times(rig: Rig) -> None:
    execution_id = rig.start("sh", "-c", "echo one; sleep 0.6; echo two >&2; sleep 0.6; echo three")
    rig.ended(execution_id)
    pieces = [piece for batch in rig.docker.pieces(execution_id, LogQuery()) for piece in batch]
    assert [(stream, text) for _, stream, text in pieces] == [(1, b"one\n"), (2, b"two\n"), (1, b"three\n")]
    times = [at_ns for at_ns, _, _ in pieces]
    assert times == sorted(times)
    middle = datetime.fromtimestamp(times[1] / 1e9, UTC)
    later = LogQuery(since=middle + timedelta(seconds=0.2))
    assert b"".join(plain(rig.docker.pieces(execution_id, later))) == b"three\n"
    earlier = LogQuery(until=middle - timedelta(seconds=0.2))
    assert b"".join(plain(rig.docker.pieces(execution_id, earlier))) == b"one\n"

"""What containers use, against the real engine: by their control groups' files, and by the engine's own answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from docker import DockerClient

from capabilities.numbers import NUMBERS
from tests.integration.docker_rig import Rig
from tests.support.relay import engine_relay
from tests.support.services import wait_for
from workers.executors import groups
from workers.executors.base import Stats
from workers.executors.base_image import REFERENCE
from workers.executors.docker import meter
from workers.executors.docker.engine import Engine
from workers.executors.docker.spec import container_name

MIB = 1 << 20
BUSY = ("sh", "-c", "while :; do :; done")
# A file in memory stays as it is, whatever the shell does with its own.
HOLDS = ("sh", "-c", "head -c 25165824 /dev/zero > /dev/shm/held; sleep 1000")
WRITES = ("sh", "-c", "dd if=/dev/zero of=/out bs=1M count=8 conv=fsync; echo ready; sleep 1000")


def stats(rig: Rig, execution_id: str) -> Stats:
    told = rig.docker.stats([execution_id]).get(execution_id)
    assert told is not None
    return told


def until(rig: Rig, execution_id: str, good: Callable[[Stats], bool], what: str) -> Stats:
    def look() -> Stats | None:
        told = stats(rig, execution_id)
        return told if good(told) else None

    found = wait_for(look, what=what, every_s=0.2)
    assert isinstance(found, Stats)
    return found


def share(rig: Rig, execution_id: str) -> float:
    """Return the percent of one core that it used while at least a fifth of a second of CPU time went by."""
    before = stats(rig, execution_id)
    assert before.cpu_ns is not None
    goal = before.cpu_ns + 400_000_000
    after = until(rig, execution_id, lambda told: (told.cpu_ns or 0) >= goal, "0.4 s of CPU time")
    assert after.cpu_ns is not None
    return 100 * (after.cpu_ns - before.cpu_ns) / (after.read_ns - before.read_ns)


def test_a_busy_loop_gets_its_grant_and_no_more(rig: Rig) -> None:
    execution_id = rig.start(*BUSY, cpu_centicores=20)
    # A loaded machine may give less; never more, but for one period of the limit at each end.
    assert 2 < share(rig, execution_id) < 27


def test_memory_that_is_held_is_counted_and_the_limit_said(rig: Rig) -> None:
    execution_id = rig.start(*HOLDS, ram_bytes=256 * MIB)
    told = until(rig, execution_id, lambda told: told.ram_used_bytes >= 24 * MIB, "24 MiB in use")
    assert told.ram_limit_bytes == 256 * MIB
    assert told.ram_used_bytes < 256 * MIB
    assert told.pids >= 1


def test_what_is_written_is_counted(rig: Rig) -> None:
    execution_id = rig.start(*WRITES)
    until(rig, execution_id, lambda told: (told.written_bytes or 0) >= 8 * MIB, "8 MiB written")
    assert stats(rig, execution_id).disk_used_bytes is None
    assert rig.docker.disk_used_bytes(execution_id) >= 8 * MIB
    assert (stats(rig, execution_id).disk_used_bytes or 0) >= 8 * MIB


def test_bytes_between_two_allocations(rig: Rig) -> None:
    serve = "mkdir /w; head -c 4194304 /dev/urandom > /w/f; httpd -f -p 8080 -h /w"
    server = rig.start("sh", "-c", serve, dns_name="server")
    get = "until timeout 20 wget -q -O /dev/null http://server:8080/f; do sleep 0.2; done; sleep 1000"
    client = rig.start("sh", "-c", get, dns_name="client")
    until(rig, client, lambda told: (told.rx_bytes or 0) >= 4 * MIB, "4 MiB received")
    assert (stats(rig, server).tx_bytes or 0) >= 4 * MIB


def test_the_engine_says_the_same_where_files_cannot_be_read(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = rig.start(*HOLDS, ram_bytes=256 * MIB)
    until(rig, execution_id, lambda told: told.ram_used_bytes >= 24 * MIB, "24 MiB in use")
    seen = stats(rig, execution_id)
    monkeypatch.setattr(groups, "folders_of", lambda *_: None)
    asked = stats(rig, execution_id)
    assert asked.ram_limit_bytes == seen.ram_limit_bytes
    assert abs(asked.ram_used_bytes - seen.ram_used_bytes) < 4 * MIB
    assert (asked.cpu_ns or 0) >= (seen.cpu_ns or 0)
    assert asked.rx_bytes is not None


def test_what_does_not_run_is_left_out(rig: Rig) -> None:
    execution, _ = rig.run("true")
    assert rig.docker.stats([execution.execution_id, "never-was"]) == {}


def test_an_engine_that_hangs_delays_nothing_that_is_known(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known, unknown = rig.start("sleep", "1000"), rig.start("sleep", "1000")
    names = {key: container_name(rig.node, key) for key in (known, unknown)}
    monkeypatch.setattr(meter, "NUMBERS", replace(NUMBERS, stats_timeout_s=0.3))
    with engine_relay() as relay:
        measuring = meter.Meter(Engine(relay.environment))
        assert set(measuring.read({known: names[known]})) == {known}
        relay.silent.set()
        for _ in range(3):
            assert set(measuring.read(names)) == {known}
        # It is said once, not with every turn.
        assert len([record for record in caplog.records if "measuring containers" in record.message]) == 1
        relay.silent.clear()
        assert set(measuring.read(names)) == {known, unknown}


@pytest.fixture
def stranger(docker_client: DockerClient, rig: Rig) -> Iterator[str]:
    rig.docker.availability()
    rig.run("true")  # the base image is there
    container = docker_client.containers.run(
        REFERENCE,
        ["sleep", "1000"],
        detach=True,
        name=f"stranger-{os.getpid()}",
        mem_limit="32m",
        nano_cpus=250_000_000,
    )
    yield str(container.id)
    container.remove(force=True, v=True)


def test_foreign_containers_are_seen_with_limits_and_use(rig: Rig, stranger: str) -> None:
    own = rig.start("sleep", "1000")
    found = {one.container_id: one for one in rig.docker.foreign(rig.node)}
    one = found[stranger]
    assert (one.name, one.image, one.state) == (f"stranger-{os.getpid()}", REFERENCE, "running")
    assert (one.cpu_limit_centicores, one.ram_limit_bytes) == (25, 32 * MIB)
    assert one.stats is not None
    assert one.stats.ram_used_bytes > 0
    assert one.since is not None
    assert not one.other_node
    assert not any(rig.docker.inspect(own).execution_id in other.name for other in found.values())


def test_another_node_s_containers_are_foreign(rig: Rig, other: Rig) -> None:
    other.start("sleep", "1000")
    theirs = [one for one in rig.docker.foreign(rig.node) if one.other_node]
    assert theirs

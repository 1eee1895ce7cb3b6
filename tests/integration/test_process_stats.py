"""What sandboxes use, in real ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.process_site import MIB, Bench, process_bench
from tests.support.require import require
from tests.support.services import wait_for
from workers.executors.base import Stats


@pytest.fixture(params=["bwrap", "unshare"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    require("cgroup")
    require("bwrap" if request.param == "bwrap" else "userns")
    with process_bench(request.param) as made:
        yield made


def stats(bench: Bench, name: str) -> Stats:
    return bench.executor.stats([name])[name]


def test_cpu_memory_and_disk_of_a_sandbox(bench: Bench) -> None:
    script = "dd if=/dev/zero of=/work/out bs=1M count=6 2>/dev/null; while :; do :; done"
    name = bench.start("sh", "-c", script, cpu_centicores=20).execution_id
    wait_for(lambda: (stats(bench, name).written_bytes or 0) >= 6 * MIB, what="6 MiB written")
    before = stats(bench, name)
    assert before.cpu_ns is not None
    goal = before.cpu_ns + 400_000_000
    wait_for(lambda: (stats(bench, name).cpu_ns or 0) >= goal, what="0.4 s of CPU time")
    after = stats(bench, name)
    assert after.cpu_ns is not None
    assert 2 < 100 * (after.cpu_ns - before.cpu_ns) / (after.read_ns - before.read_ns) < 27
    assert 0 < after.ram_used_bytes < 64 * MIB
    assert after.ram_limit_bytes == 64 * MIB
    assert after.pids >= 2
    assert (after.rx_bytes, after.tx_bytes) == (0, 0)
    assert bench.executor.disk_used_bytes(name) >= 6 * MIB
    assert (stats(bench, name).disk_used_bytes or 0) >= 6 * MIB
    assert bench.executor.foreign(bench.node_did) == []


def test_what_has_ended_or_never_was_is_left_out(bench: Bench) -> None:
    execution, _ = bench.finish("true")
    assert bench.executor.stats([execution.execution_id, "never-was"]) == {}

"""Benchmarks: what tools print, the life of a run as rows, and the behaviors of machine capability."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from capabilities.refusal import Refusal
from capabilities.retention import sweep
from node import benchmarks
from node.door import invoke
from node.models import BenchmarkRun, Node, NodeEvent, Reservation
from node.outside import OUTSIDE
from node.services import benchmark
from tests.unit.node.machines import FACTS, GIB, StillProbe, make_node

SYSBENCH_CPU = """sysbench 1.0.20 (using system LuaJIT 2.1.0-beta3)

CPU speed:
    events per second:  1234.56

General statistics:
"""
SYSBENCH_MEMORY = """sysbench 1.0.20 (using system LuaJIT 2.1.0-beta3)

Total operations: 9000 ( 8999.20 per second)

9000.00 MiB transferred (8999.20 MiB/sec)
"""
FIO = {
    "fio version": "fio-3.33",
    "jobs": [
        {"jobname": "write", "write": {"bw_bytes": 500_000_000}},
        {"jobname": "read", "read": {"bw_bytes": 900_000_000}},
        {"jobname": "latency", "write": {"clat_ns": {"mean": 250_000.0}}},
    ],
}


def test_what_the_tools_print_is_read() -> None:
    assert benchmarks.sysbench_cpu(SYSBENCH_CPU) == {
        "value": 1234.56,
        "unit": "events/s",
        "method": "sysbench 1.0.20",
    }
    assert benchmarks.sysbench_memory(SYSBENCH_MEMORY)["value"] == pytest.approx(8999.2 * (1 << 20))
    found = benchmarks.fio("note: something\n" + json.dumps(FIO))
    assert {name: item["value"] for name, item in found.items()} == {
        "disk_write": 5e8,
        "disk_read": 9e8,
        "disk_latency": 0.25,
    }
    assert found["disk_read"]["method"] == "fio 3.33"


@pytest.mark.parametrize("read", [benchmarks.sysbench_cpu, benchmarks.sysbench_memory, benchmarks.fio])
@pytest.mark.parametrize("text", ["", "{", "{}", '{"jobs": [1]}', "events per second: ."])
def test_what_cannot_be_read_is_said(read: Any, text: str) -> None:
    with pytest.raises(benchmarks.Unreadable):
        read(text)


def test_the_fingerprint_is_the_hardwares() -> None:
    facts = FACTS.document()
    assert benchmarks.hardware_hash(facts) == benchmarks.hardware_hash(facts | {"hostname": "other"})
    assert benchmarks.hardware_hash(facts) != benchmarks.hardware_hash(facts | {"ram": {"size": 1}})


@pytest.fixture
def node(db: None, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(OUTSIDE, "probe", StillProbe())
    return make_node()


def reserve(node: Node) -> Reservation:
    return Reservation.objects.create(
        node=node,
        owner=node.identity,
        deployment_id="d",
        allocation_id="d_here.one",
        cpu_centicores=10,
        ram_bytes=GIB,
        disk_bytes=GIB,
    )


def test_a_run_is_asked_for_measured_once_and_registered(node: Node) -> None:
    row = benchmark.ask(node, by="did:key:z1")
    assert benchmark.ask(node).pk == row.pk
    assert benchmark.measure(row.pk)
    assert not benchmark.measure(row.pk)
    done = benchmark.registered(node)
    assert done is not None
    assert done.results["cpu_single"]["method"] == "a still probe"
    assert benchmark.is_current(done, node)
    assert NodeEvent.objects.filter(node=node, kind="benchmark", text="measured").exists()


def test_work_is_not_disturbed_unless_asked(node: Node) -> None:
    waiting = benchmark.ask(node)
    held = reserve(node)
    benchmark.measure(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.status, "work has begun" in waiting.reason) == ("failed", True)
    with pytest.raises(Refusal, match="disturb"):
        benchmark.ask(node)
    forced = benchmark.ask(node, force=True)
    assert benchmark.measure(forced.pk)
    forced.refresh_from_db()
    assert forced.status == "done"
    held.delete()


def test_the_sweep_takes_up_fails_and_repeats(node: Node) -> None:
    now = timezone.now()
    assert benchmark.sweep(node, now) is None
    row = benchmark.ask(node)
    assert benchmark.sweep(node, now) == row
    BenchmarkRun.objects.filter(pk=row.pk).update(status="running", started_at=now - timedelta(hours=1))
    assert benchmark.sweep(node, now) is None
    row.refresh_from_db()
    assert row.status == "failed"
    benchmark.measure(benchmark.ask(node).pk)
    assert benchmark.sweep(node, now) is None
    node.hardware = node.hardware | {"ram": {"size": 32 * GIB}}
    node.save()
    again = benchmark.sweep(node, now)
    assert again is not None
    assert "has changed" in again.reason


def test_a_machine_that_cannot_be_measured_says_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: StillProbe, budget_s: float) -> dict[str, Any]:
        raise OSError("no disk")

    monkeypatch.setattr(StillProbe, "benchmark", broken)
    row = benchmark.ask(node)
    benchmark.measure(row.pk)
    row.refresh_from_db()
    assert (row.status, "no disk" in row.reason) == ("failed", True)


@pytest.mark.django_db(databases=["default", "nonces"])
def test_old_figures_are_forgotten(node: Node) -> None:
    for _ in range(23):
        BenchmarkRun.objects.create(node=node, status="done")
    assert sweep(timezone.now()) == {"node.BenchmarkRun": 3}


def test_the_behaviors(node: Node) -> None:
    from capabilities.services import root_add

    me = node.identity
    root_add(me.did)

    def call(path: str, **payload: Any) -> dict[str, Any]:
        return invoke(identity=me, path=path, payload=payload, node=node, source="cli").model_dump(
            by_alias=True
        )

    assert call("/dms/node/benchmark/status")["Status"] == "never"
    asked = call("/dms/node/benchmark")
    assert asked["Status"] == "wanted"
    benchmark.measure(asked["ID"])
    assert call("/dms/node/benchmark/status")["Current"]
    reserve(node)
    said = call(
        "/dms/node/capability/set",
        Price={"amount": "0.50", "currency": "EUR"},
        Location={"continent": "Europe", "country": "DE"},
    )
    assert said["Registered"]["Price"] == {"amount": "0.50", "currency": "EUR"}
    assert said["Registered"]["Benchmark"]["cpu_single"]
    assert list(said["Locked"]) == ["d_here.one"]
    free, whole = said["Available"]["Resources"], said["Registered"]["Resources"]
    assert free["ram"]["size"] == whole["ram"]["size"] - GIB
    with pytest.raises(Refusal) as refused:
        call("/dms/node/capability/set", Price={"amount": "x", "currency": "EUR"}, Location={"country": "DE"})
    assert len(refused.value.reasons) == 2
    assert call("/dms/node/capability/get")["Registered"]["Location"]["country"] == "DE"
    answer = call("/dms/node/preferences/set", Preferences={"owner_share": 50, "executors": ["docker"]})
    assert answer["Preferences"] == {"owner_share": 50.0, "executors": ["docker"]}
    answer = call("/dms/node/preferences/set", Preferences={"executors": []}, Whole=False)
    assert answer["Preferences"] == {"owner_share": 50.0}
    assert set(call("/dms/node/preferences/get")["Known"]) >= {"min_price", "opening_hours"}
    with pytest.raises(Refusal, match="no preference"):
        call("/dms/node/preferences/set", Preferences={"owner_share": 10, "colour": 1})
    assert call("/dms/node/preferences/get")["Preferences"] == {"owner_share": 50.0}

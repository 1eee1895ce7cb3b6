"""The sampler over stand-in executors: percents from two readings, one that hangs costs the others nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from deployments.models import Allocation, AllocationSample
from deployments.services.advance import deployment_advance
from node.models import Node
from tests.unit.deployments import world
from tests.unit.workers.test_gpu_use import HELD, Working
from workers import sampler
from workers.executors.base import Cause, ExecutorError, Stats
from workers.probes.gpu_use import look

pytestmark = pytest.mark.django_db
SECOND_NS = 1_000_000_000


class Counting:
    """An executor whose executions use a quarter of a core, and receive 5 bytes a turn."""

    def __init__(self) -> None:
        self.turn = 0

    def stats(self, execution_ids: Iterable[str]) -> dict[str, Stats]:
        self.turn += 1
        told = Stats(
            read_ns=self.turn * 10 * SECOND_NS,
            cpu_ns=self.turn * 10 * SECOND_NS // 4,
            rx_bytes=5 * self.turn,
            ram_used_bytes=7,
            pids=1,
            processes=(7,),
        )
        return dict.fromkeys(execution_ids, told)


class Hanging:
    """An engine that does not answer."""

    def stats(self, execution_ids: Iterable[str]) -> dict[str, Stats]:
        raise ExecutorError(Cause.ENGINE_UNREACHABLE, "it hangs", transient=True)


def running(node: Node, executor: str = "process") -> Allocation:
    execution: dict[str, Any] = {"type": executor, "cmd": ["true"]}
    if executor == "docker":
        execution["image"] = "busybox"
    tree = world.ensemble({"one": world.allocation("service", executor=executor, execution=execution)})
    deployment = world.submit(node, world.make_owner(f"of-{executor}"), tree)
    deployment_advance(deployment.pk)
    allocation = deployment.allocations.get()
    assert world.started(allocation)
    return allocation


def test_percents_come_from_two_readings_and_the_first_sample_stays() -> None:
    node = world.make_node()
    allocation = running(node)
    measuring = sampler.Sampler(node, {"process": Counting()})  # type: ignore[dict-item]
    assert [measuring.turn(), measuring.turn(), measuring.turn()] == [1, 1, 1]
    first, second, third = AllocationSample.objects.order_by("pk")
    assert {row.allocation_id for row in (first, second, third)} == {allocation.pk}
    assert (first.cpu_percent, second.cpu_percent, third.cpu_percent) == (None, 25.0, 25.0)
    assert (first.kept, first.attempt, third.rx_bytes) == (True, 1, 15)


def test_an_executor_that_hangs_costs_the_others_nothing() -> None:
    node = world.make_node()
    running(node, "docker")
    mine = running(node)
    measuring = sampler.Sampler(node, {"docker": Hanging(), "process": Counting()})  # type: ignore[dict-item]
    assert measuring.turn() == 1
    assert AllocationSample.objects.get().allocation_id == mine.pk


def test_what_has_ended_is_not_measured_and_forgotten() -> None:
    node = world.make_node()
    allocation = running(node)
    measuring = sampler.Sampler(node, {"process": Counting()})  # type: ignore[dict-item]
    measuring.turn()
    world.ended(allocation, "completed")
    assert measuring.turn() == 0
    assert measuring._before == {}


def test_the_gpus_that_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for NVML: no GPU exists on a test machine."""
    node = world.make_node()
    allocation = running(node)
    spec = allocation.spec
    spec["granted"]["gpus"] = [HELD.document()]
    Allocation.objects.update(spec=spec)
    monkeypatch.setattr(sampler, "look", lambda: look(Working()))
    sampler.Sampler(node, {"process": Counting()}).turn()  # type: ignore[dict-item]
    (gpu,) = AllocationSample.objects.get().gpus
    assert (gpu["busy_percent"], gpu["vram_used_bytes"], gpu["vram_granted_bytes"]) == (
        37.0,
        1 << 30,
        8 << 30,
    )

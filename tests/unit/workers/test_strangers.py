"""What else runs on the machine, as rows: over a stand-in engine."""

from __future__ import annotations

import pytest

from node.models import ForeignContainer
from tests.unit.deployments.world import make_node
from workers.executors.base import Cause, ExecutorError, Foreign, Stats
from workers.strangers import StrangerWatch

pytestmark = pytest.mark.django_db
SECOND_NS = 1_000_000_000


class Engine:
    def __init__(self) -> None:
        self.turn = 0
        self.away = False

    def foreign(self, node_did: str) -> list[Foreign]:
        if self.away:
            raise ExecutorError(Cause.ENGINE_UNREACHABLE, "it hangs", transient=True)
        self.turn += 1
        stats = Stats(
            read_ns=self.turn * 30 * SECOND_NS, cpu_ns=self.turn * 3 * SECOND_NS, ram_used_bytes=5 << 20
        )
        return [
            Foreign(container_id="c1", name="database", image="postgres:16", state="running", stats=stats),
            Foreign(container_id="c2", name="old", image="x", state="exited"),
        ]


def test_the_second_look_tells_the_cpu_and_an_engine_that_is_away_forgets_nothing() -> None:
    engine = Engine()
    watch = StrangerWatch(make_node(), {"docker": engine})  # type: ignore[dict-item]
    assert watch.turn() == 2
    assert ForeignContainer.objects.get(name="database").cpu_percent is None
    assert watch.turn() == 2
    row = ForeignContainer.objects.get(name="database")
    assert (row.cpu_percent, row.ram_used_bytes, row.executor) == (10.0, 5 << 20, "docker")
    assert ForeignContainer.objects.get(name="old").ram_used_bytes is None
    engine.away = True
    assert watch.turn() == 0
    assert ForeignContainer.objects.count() == 2

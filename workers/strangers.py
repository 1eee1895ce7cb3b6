"""Look at what else runs on this machine's engines, now and then: percents need the look before, kept here."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.utils import timezone

from deployments.usage import cpu_percent
from node.models import ForeignContainer, Node
from node.services.foreign import foreign_record
from workers.executors.base import Executor, ExecutorError, Foreign, Stats
from workers.executors.registry import executors

logger = logging.getLogger(__name__)


class StrangerWatch:
    """Records the foreign containers of one node; remembers the last reading of each."""

    def __init__(self, node: Node, having: Mapping[str, Executor] | None = None) -> None:
        self._node = node
        self._executors = executors(node.identity.did) if having is None else having
        self._before: dict[str, Stats] = {}
        self._failing: set[str] = set()

    def turn(self) -> int:
        """Look once; return how many there are. What an engine that does not answer had before stays."""
        count = 0
        for name, executor in self._executors.items():
            try:
                seen = executor.foreign(self._node.identity.did)
            except ExecutorError as error:
                if name not in self._failing:  # many machines have no engine, and that is said elsewhere
                    logger.info("looking at what else %s runs: %s", name, error.detail)
                self._failing.add(name)
                continue
            self._failing.discard(name)
            rows = [self._row(one) for one in seen]
            if seen or ForeignContainer.objects.filter(node=self._node, executor=name).exists():
                count += foreign_record(self._node, name, rows, timezone.now())
            if seen:
                self._before = {one.container_id: one.stats for one in seen if one.stats}
        return count

    def _row(self, one: Foreign) -> ForeignContainer:
        now, before = one.stats, self._before.get(one.container_id)
        percent = (
            cpu_percent(now.cpu_ns, before.cpu_ns, now.read_ns - before.read_ns) if now and before else None
        )
        return ForeignContainer(
            container_id=one.container_id,
            name=one.name,
            image=one.image,
            state=one.state,
            since=one.since,
            other_node=one.other_node,
            cpu_limit_centicores=one.cpu_limit_centicores,
            ram_limit_bytes=one.ram_limit_bytes,
            cpu_percent=percent,
            ram_used_bytes=now.ram_used_bytes if now else None,
        )

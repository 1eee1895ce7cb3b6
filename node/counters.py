"""What this process counts for Prometheus; `node.metrics` tells it together with what the rows say."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

SECONDS: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)

INVOCATIONS = Counter(
    "dms_invocations", "Invocations of behaviors by how they ended.", ["behavior", "outcome"]
)
INVOCATION_SECONDS = Histogram(
    "dms_invocation_seconds", "How long behaviors took.", ["behavior"], buckets=SECONDS
)
TASKS = Counter("dms_tasks", "Tasks of the workers by how they ended.", ["task", "outcome"])
TASK_SECONDS = Histogram("dms_task_seconds", "How long tasks took.", ["task"], buckets=SECONDS)

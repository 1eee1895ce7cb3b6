"""The figures of the node as a behavior: who may read them is decided like everything else."""

from __future__ import annotations

from pydantic import Field

from node.message import Empty, Message
from node.metrics import exposition
from node.registry import Call, behavior


class MetricsResponse(Message):
    """Figures in Prometheus' text format."""

    text: str = Field(alias="Text")


@behavior("/dms/node/metrics/get", request=Empty, response=MetricsResponse)
def metrics_get(call: Call, request: Empty) -> MetricsResponse:
    """Tell the figures of this node: work, ledger, machine, invocations, tasks."""
    return MetricsResponse(text=exposition())

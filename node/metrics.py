"""Figures for Prometheus. Counters live in the processes that count, gauges are read from the rows when asked.

The site's processes share their counters through files (`PROMETHEUS_MULTIPROC_DIR`, set by the supervisor and emptied
at each start), so that whichever process answers tells what all of them counted. Labels come from what the code
declares (behaviors, tasks, statuses), never from what people write: their number is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY as COUNTED
from prometheus_client.registry import Collector

from node.logger.sending import QUEUE
from node.models import Node
from node.selectors import latest_sample, local_node
from node.services.ledger import ledger

# Other rooms add what they can tell of the local node.
SOURCES: list[Callable[[Node], Iterable[Metric]]] = []


class Rows(Collector):
    """What the rows say at this moment, in a fixed number of queries."""

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of the local node."""
        node = local_node()
        yield InfoMetricFamily("dms_node", "This node.", {"did": node.identity.did, "name": node.name})
        for source in (of_machine, *SOURCES):
            yield from source(node)


def of_machine(node: Node) -> Iterator[Metric]:
    """Yield the ledger and the newest sample of the machine."""
    view = ledger(node)
    amounts = {
        "onboarded": view.onboarded,
        "committed": view.committed,
        "allocated": view.allocated,
        "free": view.free,
    }
    cores = GaugeMetricFamily("dms_cores", "Cores in the ledger.", labels=["state"])
    memory = GaugeMetricFamily("dms_memory_bytes", "Memory in the ledger.", labels=["state"])
    disk = GaugeMetricFamily("dms_disk_bytes", "Disk in the ledger.", labels=["state"])
    gpus = GaugeMetricFamily("dms_gpus", "GPUs and shares of GPUs in the ledger.", labels=["state"])
    for state, amount in amounts.items():
        cores.add_metric([state], amount.cpu_centicores / 100)
        memory.add_metric([state], amount.ram_bytes)
        disk.add_metric([state], amount.disk_bytes)
        gpus.add_metric([state], len(amount.gpus))
    yield from (cores, memory, disk, gpus)
    sample = latest_sample(node)
    if sample is not None:
        used = GaugeMetricFamily(
            "dms_used_ratio", "Of the whole machine, by everybody on it.", labels=["what"]
        )
        used.add_metric(["cpu"], sample.cpu_percent / 100)
        yield used
        amount_used = GaugeMetricFamily("dms_used_bytes", "By everybody on the machine.", labels=["what"])
        amount_used.add_metric(["memory"], sample.ram_used_bytes)
        amount_used.add_metric(["disk"], sample.disk_used_bytes)
        yield amount_used
        busy = GaugeMetricFamily("dms_gpu_busy_ratio", "How busy a GPU is.", labels=["gpu"])
        vram = GaugeMetricFamily("dms_gpu_used_bytes", "GPU memory in use.", labels=["gpu"])
        for gpu in sample.gpus:
            index = str(gpu.get("index", ""))
            if gpu.get("busy_percent") is not None:
                busy.add_metric([index], float(gpu["busy_percent"]) / 100)
            vram.add_metric([index], float(gpu.get("vram_used_bytes") or 0))
        yield from (busy, vram)
        seen = GaugeMetricFamily(
            "dms_sampled_timestamp_seconds", "When the worker last looked at the machine."
        )
        seen.add_metric([], sample.at.timestamp())
        yield seen
    dropped = GaugeMetricFamily("dms_log_lines_dropped", "Lines the answering process could not send.")
    dropped.add_metric([], QUEUE.dropped)
    yield dropped


def exposition() -> str:
    """Return everything in Prometheus' text format."""
    counted = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    else:
        counted = COUNTED
    rows = CollectorRegistry()
    rows.register(Rows())
    return (generate_latest(counted) + generate_latest(rows)).decode()

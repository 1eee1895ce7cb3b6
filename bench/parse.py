"""`parse`: ten allocations parsed and validated with every bound checked, beside PyYAML's bare C loader."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import yaml

from bench.result import Result
from deployments.ensemble import parse

ALLOCATIONS = 10
ROUNDS = 30
BAR_MS = 5.0

_ALLOCATION = """  service{n}:
    type: service
    executor: docker
    resources:
      cpu: {{cores: 0.5, architecture: x86_64}}
      ram: {{size: 512MiB}}
      disk: {{size: 1}}
      gpus:
        - vendor: NVIDIA
          vram: 2
    execution:
      type: docker
      image: registry.example.com/team/service:1.{n}
      cmd: ["serve", "--port", "80{n}"]
      environment:
        - MODE=production
        - INDEX={n}
      working_directory: /
    healthcheck:
      type: command
      exec: ["curl", "-s", "http://localhost:80{n}"]
      response: {{type: string, value: ok}}
      interval: 30s
    volume:
      - type: local
        src: data{n}
        mount_destination: /data
    failure_recovery: one_for_one
    depends_on: [{before}]
"""


def text() -> str:
    """Return the ensemble that is measured."""
    allocations = "".join(
        _ALLOCATION.format(n=n, before=f"service{n - 1}" if n else "") for n in range(ALLOCATIONS)
    )
    names = ", ".join(f"service{n}" for n in range(ALLOCATIONS))
    ports = "".join(
        f"      - {{public: {20000 + n}, private: 8080, allocation: service{n}}}\n"
        for n in range(ALLOCATIONS)
    )
    return (
        f'version: "V1"\nallocations:\n{allocations}'
        f"nodes:\n  node1:\n    allocations: [{names}]\n    ports:\n{ports}"
    )


def _milliseconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def run() -> list[Result]:
    """Measure; the bar is absolute, in milliseconds, and `floor` shows what the bare loader takes."""
    source = text()
    parsed = parse(source)
    if parsed.ensemble is None or parsed.warnings:
        raise AssertionError(f"the measured ensemble is not clean: {parsed.document()}")
    ours = _milliseconds(lambda: parse(source))
    floor = _milliseconds(lambda: yaml.load(source, Loader=yaml.CSafeLoader))
    return [
        Result(
            name="parse",
            ours=round(ours, 3),
            floor=round(floor, 3),
            unit="ms",
            bar=BAR_MS,
            passed=ours <= BAR_MS,
        )
    ]

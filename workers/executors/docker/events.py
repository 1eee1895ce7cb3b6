"""Watching the engine for executions that end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing

from capabilities.numbers import NUMBERS
from workers.executors.base import LABEL, ExecutorError
from workers.executors.docker.engine import Engine
from workers.executors.docker.streams import BROKEN, json_lines, pumped

OVERLAP_S = 2
FIRST_PAUSE_S = 0.2


def watch(
    engine: Engine,
    node_did: str,
    ended: Callable[[str], None],
    stop: threading.Event,
    *,
    ended_now: Callable[[], Iterable[str]],
) -> None:
    """Call `ended(execution_id)` once for each of the node's executions that ends, until `stop`.

    1. Subscribe, a little into the past: the engine answers before it listens.
    2. Report what `ended_now` lists: it ended while nobody was listening.
    3. Report what the events say. When the stream breaks, begin again after a growing pause.
    """
    reported: set[str] = set()
    pause_s = FIRST_PAUSE_S

    def report(execution_id: str) -> None:
        if execution_id and execution_id not in reported:
            reported.add(execution_id)
            ended(execution_id)

    while not stop.is_set():
        try:
            params = {
                "since": str(int(time.time()) - OVERLAP_S),
                "filters": json.dumps(
                    {"type": ["container"], "event": ["die"], "label": [f"{LABEL}.node={node_did}"]}
                ),
            }
            with engine.errors("watching the engine"):
                response = engine.open("GET", "/events", params=params)
            listed = set(ended_now())
            reported &= listed  # removed ones cannot come back
            for execution_id in listed:
                report(execution_id)
            pause_s = FIRST_PAUSE_S
            for event in pumped(response, json_lines(response), stop.is_set):
                attributes = (event.get("Actor") or {}).get("Attributes") or {}
                report(str(attributes.get(f"{LABEL}.execution", "")))
        except (ExecutorError, *BROKEN):
            # The loop is the reconnection; the engine's absence is reported by availability().
            pass
        stop.wait(pause_s)
        pause_s = min(2 * pause_s, NUMBERS.docker_reconnect_max_s)


def ran_out_of_memory(engine: Engine, container: str, *, since_s: float, until_s: float) -> bool:
    """Say whether the engine reported an out-of-memory kill in the container between two times (Unix seconds).

    On some kernels the exit is handled before the out-of-memory message, and the container's flag stays false.
    """
    params = {
        "since": str(int(since_s)),
        "until": str(int(until_s) + 1),
        "filters": json.dumps({"type": ["container"], "event": ["oom"], "container": [container]}),
    }
    with engine.errors("reading the engine's events"):
        response = engine.open("GET", "/events", params=params, read_timeout_s=NUMBERS.docker_timeout_s)
        with closing(response):
            return any(True for _ in json_lines(response))

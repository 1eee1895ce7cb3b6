"""Logs of a container: demultiplexed, live or as kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from docker.errors import NotFound

from capabilities.numbers import NUMBERS
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker.engine import Engine
from workers.executors.docker.streams import BROKEN, cut_when, demultiplex

STREAMS = {"stdout": ("1", "0"), "stderr": ("0", "1"), "both": ("1", "1")}
CHUNK_BYTES = 65_536


def read(
    engine: Engine,
    container: str,
    *,
    stream: str,
    tail: int | None,
    follow: bool,
    stopped: Callable[[], bool],
) -> Iterator[bytes]:
    """Yield chunks; with `follow` until the container ends or `stopped()`. ExecutorError `gone` without one."""
    if stream not in STREAMS:
        raise ExecutorError(Cause.START_FAILED, f"stream {stream!r} is not one of {', '.join(STREAMS)}")
    stdout, stderr = STREAMS[stream]
    params = {
        "stdout": stdout,
        "stderr": stderr,
        "follow": "1" if follow else "0",
        "tail": "all" if tail is None else str(max(tail, 0)),
    }
    with engine.errors("reading the log"):
        try:
            response = engine.open(
                "GET",
                f"/containers/{container}/logs",
                params=params,
                read_timeout_s=None if follow else NUMBERS.docker_timeout_s,
            )
        except NotFound as error:
            raise ExecutorError(Cause.GONE, "the container is gone, and its log with it") from error
        with cut_when(response, stopped):
            try:
                yield from demultiplex(response.iter_content(CHUNK_BYTES))
            except BROKEN:
                if not stopped():
                    raise

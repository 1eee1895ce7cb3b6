"""The port every executor implements: docker, process, later VMs.

An execution is one attempt of an allocation. Its id is chosen by the caller, so that starting twice is
harmless: an execution that exists already is adopted. Executors carry the node's DID as a label and touch
nothing that does not carry it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from deployments.logquery import LogQuery
from deployments.logtext import Piece
from deployments.outside import Command, Terminal

LABEL = "dms"  # prefix of labels: dms.node, dms.deployment, dms.allocation, dms.execution, dms.attempt


class State(StrEnum):
    """What an executor knows of an execution."""

    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    GONE = "gone"


class Cause(StrEnum):
    """The named reason for an end; stored in `Allocation.reason`."""

    COMPLETED = "completed"
    EXIT_CODE = "exit_code"
    OOM_KILLED = "oom_killed"
    KILLED = "killed"
    DISK_LIMIT = "disk_limit"
    PIDS_LIMIT = "pids_limit"
    IMAGE_MISSING = "image_missing"
    IMAGE_UNAUTHORIZED = "image_unauthorized"
    REGISTRY_UNREACHABLE = "registry_unreachable"
    START_FAILED = "start_failed"
    CONFINEMENT = "confinement"
    ENGINE_UNREACHABLE = "engine_unreachable"
    ENGINE_RESTARTED = "engine_restarted"
    GONE = "gone"
    STOPPED = "stopped"
    UNHEALTHY = "unhealthy"
    MAX_RUNTIME = "max_runtime"


class ExecutorError(Exception):
    """A start or another operation failed for a named cause. `transient`: trying again may help."""

    def __init__(self, cause: Cause, detail: str, *, transient: bool = False) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an executor can be used here; if not, why and how to mend it."""

    available: bool
    detail: str = ""
    hint: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A port of the host led to a port of the execution. `protocol`: tcp or udp."""

    public: int
    private: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder for the execution. `source` is a host path already confined by `workers.volumes`."""

    source: Path
    destination: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRequest:
    """Everything an executor needs to start one attempt."""

    execution_id: str
    allocation_id: str
    deployment_id: str
    attempt: int
    node_did: str
    owner_did: str
    type: str
    params: Mapping[str, Any]
    cpu_centicores: int
    ram_bytes: int
    disk_bytes: int
    gpus: tuple[Mapping[str, Any], ...] = ()
    ports: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    dns_name: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    scripts: tuple[tuple[str, bytes], ...] = ()
    work_dir: Path
    allowances: frozenset[str] = frozenset()
    progress: Callable[[str], None] = lambda text: None
    cancelled: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Execution:
    """What is known of one execution."""

    execution_id: str
    allocation_id: str
    deployment_id: str
    state: State
    cause: Cause | None = None
    exit_code: int | None = None
    detail: str = ""
    priv_addr: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What one running execution uses. CPU and bytes are counted from its start; None: cannot be told here.

    `read_ns` is the monotonic clock at the reading, so that two of them give a rate. `disk_used_bytes` is what the
    last measurement of its disk said, which is too slow to be made each time.
    """

    read_ns: int
    cpu_ns: int | None = None
    ram_used_bytes: int = 0
    ram_limit_bytes: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    disk_used_bytes: int | None = None
    pids: int = 0
    processes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Something on this machine that is not this node's: seen, counted, never touched.

    Limits are None where there is none, figures where they cannot be told.
    """

    container_id: str
    name: str
    image: str
    state: str
    since: datetime | None = None
    cpu_limit_centicores: int | None = None
    ram_limit_bytes: int | None = None
    stats: Stats | None = None
    other_node: bool = False


class Executor(Protocol):
    """One kind of execution. Every call has a time-out and raises only `ExecutorError`."""

    name: str

    def availability(self) -> Availability:
        """Say whether it can be used now; cheap enough for every 10 s."""

    def start(self, request: ExecutionRequest) -> Execution:
        """Start the attempt, or adopt it when it runs already, and return once it runs."""

    def inspect(self, execution_id: str) -> Execution:
        """Return what is known; state GONE when there is no such execution."""

    def executions(self, node_did: str) -> list[Execution]:
        """Return all executions that carry the node's label, running or not."""

    def stop(self, execution_id: str, grace_s: float) -> Execution:
        """Ask it to end, kill it after `grace_s`; harmless when it has ended or is gone."""

    def remove(self, execution_id: str) -> None:
        """Remove it and what belongs to it alone; harmless when it is gone."""

    def deployments(self, node_did: str) -> list[str]:
        """Return the deployments of the node for which something shared still exists."""

    def remove_deployment(self, deployment_id: str) -> None:
        """Remove what the deployment's executions shared (network); harmless when it is gone."""

    def logs(
        self,
        execution_id: str,
        *,
        stream: str,
        tail: int | None = None,
        follow: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[bytes]:
        """Yield chunks of stdout, stderr or both; with `follow` until it ends or `stopped()`."""

    def pieces(
        self, execution_id: str, query: LogQuery, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Piece]]:
        """Yield the log with the time and the stream of each piece; of `query` its search is not looked at."""

    def disk_used_bytes(self, execution_id: str) -> int:
        """Return what it has written to its own disk."""

    def stats(self, execution_ids: Iterable[str]) -> dict[str, Stats]:
        """Return what each of them that runs uses; never waits long for an engine, what it cannot tell is left out."""

    def foreign(self, node_did: str) -> list[Foreign]:
        """Return what the engine runs, or has stopped, without this node's label."""

    def run_inside(
        self,
        execution_id: str,
        argv: Sequence[str],
        *,
        timeout_s: float,
        max_bytes: int,
        user: str | None = None,
    ) -> tuple[int, bytes]:
        """Run a command inside, confined as the workload; return exit code and the first bytes of its output.

        `inside.TookTooLong` after `timeout_s`, when it and what it started have been ended.
        """

    def open_terminal(self, execution_id: str, command: Command) -> Terminal:
        """Run a command inside a running execution, confined as that is; ExecutorError when it cannot be."""

    def end_terminal(self, execution_id: str, handle: str) -> None:
        """End what a terminal left behind whose own process has died; harmless when nothing is left."""

    def kill(self, execution_id: str, cause: Cause, detail: str) -> None:
        """Kill it at once and remember why, so that `inspect` names that cause."""

    def watch(self, node_did: str, ended: Callable[[str], None], stop: threading.Event) -> None:
        """Block and call `ended(execution_id)` whenever one of the node's executions ends, until `stop`."""

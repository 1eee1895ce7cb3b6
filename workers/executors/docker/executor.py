"""The executor of containers: the port's calls over one engine, for one node."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from capabilities.numbers import NUMBERS
from deployments.logquery import LogQuery
from deployments.logtext import Piece, plain
from deployments.outside import Command, Terminal
from workers.executors import inside
from workers.executors.base import (
    LABEL,
    Availability,
    Cause,
    Execution,
    ExecutionRequest,
    ExecutorError,
    Foreign,
    State,
    Stats,
)
from workers.executors.base_image import REFERENCE
from workers.executors.docker import disk, ending, events, image, logs, restarts, spec, terminal
from workers.executors.docker.causes import Causes
from workers.executors.docker.engine import Engine, words
from workers.executors.docker.launch import Launch
from workers.executors.docker.meter import Meter
from workers.executors.docker.network import Networks
from workers.executors.docker.strangers import Strangers

LISTED_STATES = ("created", "exited", "dead", "removing")


class DockerExecutor:
    """Containers of one node on a Docker Engine or Podman; implements `workers.executors.base.Executor`.

    `home` is DMS_HOME; `bind_address` where published ports listen.
    """

    name = "docker"

    def __init__(
        self, node_did: str, home: Path, *, engine: Engine | None = None, bind_address: str = "0.0.0.0"
    ) -> None:
        self._node_did = node_did
        self._engine = engine or Engine()
        self._volumes = home / "work" / "volumes"
        self._causes = Causes(home / "work" / "causes")
        self._image_lock = home / "run" / "base-image.lock"
        self._networks = Networks(self._engine, node_did, home / "run" / "docker-network.lock")
        self._bind_address = bind_address
        self._base_checked = False
        self._meter = Meter(self._engine)
        self._strangers = Strangers(self._engine)

    def availability(self) -> Availability:
        """Say whether the engine answers, and how to mend it when not."""
        return self._engine.availability()

    def start(self, request: ExecutionRequest) -> Execution:
        """Create and start the container, or adopt it when it exists; nothing stays behind when that fails."""
        if request.node_did != self._node_did:
            raise ExecutorError(Cause.CONFINEMENT, "the execution belongs to another node")
        spec.refuse_unconfined(request)
        if str(request.params.get("image")) == REFERENCE and not self._base_checked:
            # One made by an older version of the product, or of the machine's programs, is replaced.
            self._obtain_image(request)
            self._base_checked = True
        launch = Launch(
            self._engine,
            self._networks,
            request,
            bind_address=self._bind_address,
            obtain_image=lambda: self._obtain_image(request),
        )
        launch.run()
        return self.inspect(request.execution_id)

    def inspect(self, execution_id: str) -> Execution:
        """Return what is known; state GONE when there is no such container of this node."""
        document = self._document(execution_id)
        if document is None:
            return Execution(execution_id, "", "", State.GONE, cause=Cause.GONE)
        remembered = self._causes.recall(execution_id)
        found = ending.execution(document, remembered=remembered)
        if found.cause is Cause.KILLED and remembered is None and found.started_at and found.ended_at:
            oom = events.ran_out_of_memory(
                self._engine,
                str(document["Id"]),
                since_s=found.started_at.timestamp(),
                until_s=found.ended_at.timestamp(),
            )
            if oom:
                return ending.execution(document, ran_out_of_memory=True)
        if remembered is None and (known := restarts.with_engine(self._engine, found, ending.kind(document))):
            return ending.execution(document, remembered=known)
        if found.cause is Cause.EXIT_CODE and found.exit_code in ending.NOT_STARTED_CODES:
            return ending.execution(document, remembered=self._not_started(execution_id))
        return found

    def executions(self, node_did: str) -> list[Execution]:
        """Return all executions with the node's label; those that run without their start time."""
        with self._engine.errors("listing containers", Cause.ENGINE_UNREACHABLE):
            found = self._engine.client().containers(
                all=True, filters={"label": [f"{LABEL}.node={node_did}"]}
            )
        executions = []
        for document in found:
            marks = document.get("Labels") or {}
            execution_id = str(marks.get(f"{LABEL}.execution", ""))
            if document.get("State") in LISTED_STATES and node_did == self._node_did:
                executions.append(self.inspect(execution_id))
                continue
            executions.append(
                Execution(
                    execution_id=execution_id,
                    allocation_id=str(marks.get(f"{LABEL}.allocation", "")),
                    deployment_id=str(marks.get(f"{LABEL}.deployment", "")),
                    state=ending.STATES.get(str(document.get("State")), State.EXITED),
                    priv_addr=ending.address(document),
                )
            )
        return [execution for execution in executions if execution.state is not State.GONE]

    def stop(self, execution_id: str, grace_s: float) -> Execution:
        """Send the image's stop signal (SIGTERM), SIGKILL after `grace_s`; harmless when it does not run."""
        found = self.inspect(execution_id)
        if found.state is not State.RUNNING:
            return found
        self._causes.remember(execution_id, Cause.STOPPED, "stopped on request")
        with self._engine.errors("stopping the container", Cause.ENGINE_UNREACHABLE), suppress(NotFound):
            self._engine.client().stop(self._container(execution_id), timeout=math.ceil(grace_s))
        return self.inspect(execution_id)

    def kill(self, execution_id: str, cause: Cause, detail: str) -> None:
        """Send SIGKILL and remember why; harmless when it does not run."""
        if self.inspect(execution_id).state is not State.RUNNING:
            return
        first = self._causes.remember(execution_id, cause, detail)
        with self._engine.errors("killing the container", Cause.ENGINE_UNREACHABLE):
            try:
                self._engine.client().kill(self._container(execution_id), signal="SIGKILL")
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise
                if first:  # it ended by itself in between, and its own cause is the true one
                    self._causes.forget(execution_id)

    def remove(self, execution_id: str) -> None:
        """Remove the container with its anonymous volumes; harmless when it is gone."""
        if self._document(execution_id) is not None:
            with self._engine.errors("removing the container", Cause.ENGINE_UNREACHABLE):
                try:
                    self._engine.client().remove_container(self._container(execution_id), v=True, force=True)
                except NotFound:
                    pass
                except APIError as error:
                    if "already in progress" not in words(error):
                        raise
        self._causes.forget(execution_id)
        self._meter.forget(execution_id)

    def remove_deployment(self, deployment_id: str) -> None:
        """Remove the deployment's network; refused as transient while executions are in it."""
        self._networks.remove(deployment_id)

    def deployments(self, node_did: str) -> list[str]:
        """Return the ids of deployments that still have a network here, for the sweep of what is left over."""
        return self._networks.deployments(node_did)

    def logs(
        self,
        execution_id: str,
        *,
        stream: str,
        tail: int | None = None,
        follow: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[bytes]:
        """Yield chunks of stdout, stderr or both, as bytes; with `follow` until it ends or `stopped()`."""
        return plain(self.pieces(execution_id, LogQuery(stream=stream, tail=tail, follow=follow), stopped))

    def pieces(
        self, execution_id: str, query: LogQuery, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Piece]]:
        """Yield the log with its times."""
        return logs.read(self._engine, self._container(execution_id), query, stopped)

    def run_inside(
        self,
        execution_id: str,
        argv: Sequence[str],
        *,
        timeout_s: float,
        max_bytes: int,
        user: str | None = None,
    ) -> tuple[int, bytes]:
        """Run a command inside as a terminal does, without anybody at it."""
        command = Command(argv=tuple(argv), user=user or "")
        return inside.finish(
            self.open_terminal(execution_id, command), timeout_s=timeout_s, max_bytes=max_bytes
        )

    def open_terminal(self, execution_id: str, command: Command) -> Terminal:
        """Run a command inside the container, with its user, limits and namespaces."""
        document = self._document(execution_id)
        if document is None or not (document.get("State") or {}).get("Running"):
            raise ExecutorError(Cause.GONE, "its container does not run")
        return terminal.opened(self._engine, document, command)

    def end_terminal(self, execution_id: str, handle: str) -> None:
        """End what a terminal left behind in the container."""
        document = self._document(execution_id)
        if document is not None and (document.get("State") or {}).get("Running"):
            terminal.ended(self._engine, document, handle)

    def disk_used_bytes(self, execution_id: str) -> int:
        """Return what it has written to its own layer and to its owner's volumes; 0 when it is gone."""
        document = self._document(execution_id, size=True)
        if not document:
            return 0
        return self._meter.disks.note(execution_id, disk.written_bytes(document, self._volumes))

    def stats(self, execution_ids: Iterable[str]) -> dict[str, Stats]:
        """Return what each running container uses: from its control groups, else from the engine."""
        return self._meter.read({key: self._container(key) for key in execution_ids})

    def foreign(self, node_did: str) -> list[Foreign]:
        """Return the engine's containers without this node's label."""
        return self._strangers.look(node_did)

    def watch(self, node_did: str, ended: Callable[[str], None], stop: threading.Event) -> None:
        """Block and call `ended(execution_id)` for each execution that ends, or ended unseen, until `stop`."""

        def ended_now() -> list[str]:
            return [e.execution_id for e in self.executions(node_did) if e.state is State.EXITED]

        events.watch(self._engine, node_did, ended, stop, ended_now=ended_now)

    def _obtain_image(self, request: ExecutionRequest) -> None:
        image.obtain(
            self._engine,
            str(request.params.get("image") or ""),
            lock_path=self._image_lock,
            timeout_s=NUMBERS.docker_pull_timeout_s,
            progress=request.progress,
            cancelled=request.cancelled,
        )

    def _container(self, execution_id: str) -> str:
        return spec.container_name(self._node_did, execution_id)

    def _document(self, execution_id: str, *, size: bool = False) -> dict[str, Any] | None:
        """Return the engine's document of the container, None when it is gone or not this node's."""
        with self._engine.errors("inspecting the container", Cause.ENGINE_UNREACHABLE):
            client = self._engine.client()
            try:
                name = self._container(execution_id)
                document: dict[str, Any]
                if size:
                    path = f"/containers/{name}/json"
                    timeout_s = NUMBERS.docker_timeout_s
                    response = self._engine.open("GET", path, params={"size": "1"}, read_timeout_s=timeout_s)
                    document = response.json()
                else:
                    document = client.inspect_container(name)
            except NotFound:
                return None
        marks = (document.get("Config") or {}).get("Labels") or {}
        return document if marks.get(f"{LABEL}.node") == self._node_did else None

    def _not_started(self, execution_id: str) -> tuple[Cause, str] | None:
        """Return `start_failed` with the words of the init process when it could not run the command.

        The container's first process is the init, so that the engine takes a bad command for a normal exit.
        """
        tail = b"".join(self.logs(execution_id, stream="stderr", tail=1))
        if not tail.startswith(b"[FATAL tini"):
            return None
        text = tail.decode(errors="replace").partition("]")[2].strip()
        return Cause.START_FAILED, f"the command cannot be run: {text}"

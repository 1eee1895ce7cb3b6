"""The executor of sandboxed processes; see the package. It keeps nothing in memory that the folders do not hold."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from capabilities.numbers import NUMBERS, Numbers
from deployments.logquery import LogQuery
from deployments.logtext import Piece, plain
from deployments.outside import Command, Terminal
from workers.executors import inside
from workers.executors.base import (
    Availability,
    Cause,
    Execution,
    ExecutionRequest,
    ExecutorError,
    Foreign,
    State,
    Stats,
)
from workers.executors.disks import Disks
from workers.executors.process import build, cgroups, logs, shim, stats
from workers.executors.process.probe import Probe
from workers.executors.process.state import Folder, execution_of, node_hash, shim_alive
from workers.executors.process.terminal import ProcessTerminal

_PAUSE_S = 0.02  # between two looks at a file; the end itself is waited for by pidfd
_ASK_S = 0.5  # between two questions whether a start was cancelled: each is a query


class ProcessExecutor:
    """Runs commands in sandboxes on this machine. `home`: DMS_HOME; `backend`: bwrap or unshare, else the first
    that works.
    """

    name = "process"

    def __init__(
        self, node_did: str, home: Path, *, backend: str | None = None, numbers: Numbers = NUMBERS
    ) -> None:
        self.node_did = node_did
        self.base = home / "work" / "process"
        self.root = self.base / node_hash(node_did)
        self.numbers = numbers
        self.groups = cgroups.Groups(node_hash(node_did))
        self.disks = Disks()
        self.probe = Probe(backend, self._try, kept_s=numbers.sandbox_probe_s)

    def availability(self) -> Availability:
        """Say whether a sandbox can be made here, by making one now and then."""
        return self.probe.availability()

    def start(self, request: ExecutionRequest) -> Execution:
        """Start the attempt in a sandbox, or adopt it; returns once the command runs (or has ended)."""
        build.check(request)
        available = self.availability()
        if not available.available:
            detail = f"no sandbox can be made here: {available.detail}. {available.hint}"
            raise ExecutorError(Cause.CONFINEMENT, detail)
        request.progress("sandbox")
        return self._start(request, self.probe.backend)

    def _start(self, request: ExecutionRequest, backend: str) -> Execution:
        folder = Folder.of(self.root, request.execution_id)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            with folder.locked():
                if not folder.status:
                    self._launch(folder, request, backend)
        except cgroups.GroupsLacking as error:
            raise ExecutorError(Cause.CONFINEMENT, f"{error}. {cgroups.HINT}") from None
        except OSError as error:
            detail = f"the sandbox's folders cannot be made: {error}"
            raise ExecutorError(Cause.START_FAILED, detail, transient=True) from None
        began = asked = time.monotonic()
        while (execution := self.inspect(request.execution_id)).state is State.STARTING:
            now = time.monotonic()
            if now - began > self.numbers.allocation_start_timeout_s:
                self.kill(request.execution_id, Cause.START_FAILED, "provisioning took too long")
            elif now - asked > _ASK_S:
                asked = now
                if request.cancelled():
                    self.kill(request.execution_id, Cause.STOPPED, "cancelled while it was being started")
            time.sleep(_PAUSE_S)
        failed = execution.cause in (Cause.START_FAILED, Cause.CONFINEMENT)
        if execution.state is State.EXITED and failed and execution.cause:
            raise ExecutorError(execution.cause, execution.detail)
        return execution

    def _launch(self, folder: Folder, request: ExecutionRequest, backend: str) -> None:
        group = self.groups.create(
            request.execution_id,
            ram_bytes=request.ram_bytes,
            pids=self.numbers.sandbox_pids_max,
            cpu_centicores=request.cpu_centicores,
        )
        try:
            folder.write("request.json", build.prepare(folder, request, group, backend, self.numbers))
            started = subprocess.run(
                [sys.executable, "-I", "-S", shim.__file__, str(folder.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=self.numbers.sandbox_timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            detail = "the sandbox's parent did not start in time"
            raise ExecutorError(Cause.START_FAILED, detail, transient=True) from None
        finally:
            if not folder.status:
                cgroups.remove(group.folders)
        if not folder.status:
            raise ExecutorError(Cause.START_FAILED, f"the sandbox's parent did not start: {started.stderr}")

    def inspect(self, execution_id: str) -> Execution:
        """Return what is known; a sandbox whose shim has died is ended here."""
        folder = Folder.of(self.root, execution_id)
        request, status = folder.request, folder.status
        if not request:
            return Execution(execution_id, "", "", State.GONE)
        if status.get("state") != "exited" and not shim_alive(status):
            status = self._settle(folder, request, status)
        return execution_of(request, status)

    def _settle(self, folder: Folder, request: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """Write the end of an execution that has lost its shim, unless it is only being started."""
        with folder.locked(wait=False) as held:
            status = folder.status
            if not held or status.get("state") == "exited" or (status and shim_alive(status)):
                return status
            with contextlib.suppress(OSError):  # its removal takes the groups along
                cgroups.remove(request["group_folders"])
            wanted = shim.read_json(str(folder.path / "wanted.json"))
            if status.get("boot_id", shim.boot_id()) == shim.boot_id():
                cause, detail = Cause.GONE, "the process that kept the sandbox is gone: it was killed"
            else:
                cause, detail = Cause.ENGINE_RESTARTED, "the machine was restarted and ended it"
            status |= {
                "state": "exited",
                "cause": cause.value,
                "detail": detail,
                "ended_at": time.time(),
            }
            folder.write("status.json", status | wanted)
            return status | wanted

    def executions(self, node_did: str) -> list[Execution]:
        """Return all executions of the node, running or ended and not yet removed."""
        found = [self.inspect(name) for name in sorted(self._names(node_did))]
        return [execution for execution in found if execution.state is not State.GONE]

    def stop(self, execution_id: str, grace_s: float) -> Execution:
        """Send TERM to the command, kill the sandbox after `grace_s`."""
        execution = self.inspect(execution_id)
        if execution.state in (State.EXITED, State.GONE):
            return execution
        folder = Folder.of(self.root, execution_id)
        folder.want(Cause.STOPPED, "stopped")
        for pid in self._first_processes(folder):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
        if not self._wait(folder, grace_s):
            self.kill(execution_id, Cause.STOPPED, "stopped")
        return self.inspect(execution_id)

    def remove(self, execution_id: str) -> None:
        """Kill it if it runs, and remove its folder and control groups."""
        folder = Folder.of(self.root, execution_id)
        if not folder.exists:
            return
        self.kill(execution_id, Cause.KILLED, "removed")
        try:
            cgroups.remove(folder.request.get("group_folders", []))
        except OSError as error:
            raise ExecutorError(Cause.START_FAILED, f"control group: {error}", transient=True) from None
        folder.remove()
        self.disks.forget(execution_id)

    def deployments(self, node_did: str) -> list[str]:
        """Return nothing: sandboxes share nothing."""
        return []

    def remove_deployment(self, deployment_id: str) -> None:
        """Do nothing: sandboxes share nothing."""

    def logs(
        self,
        execution_id: str,
        *,
        stream: str,
        tail: int | None = None,
        follow: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[bytes]:
        """Yield chunks of stdout, stderr or both."""
        return plain(self.pieces(execution_id, LogQuery(stream=stream, tail=tail, follow=follow), stopped))

    def pieces(
        self, execution_id: str, query: LogQuery, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Piece]]:
        """Yield the log with its times, both streams merged."""
        return logs.read(
            Folder.of(self.root, execution_id).path,
            query,
            ended=lambda: self.inspect(execution_id).state in (State.EXITED, State.GONE),
            stopped=stopped,
        )

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
        """Run a command inside the sandbox, as its user, within its limits."""
        folder = Folder.of(self.root, execution_id)
        first = self._first_processes(folder) if folder.request else []
        if not first or self.inspect(execution_id).state is not State.RUNNING:
            raise ExecutorError(Cause.GONE, "its sandbox does not run")
        return ProcessTerminal(folder.request, first[0], command)

    def end_terminal(self, execution_id: str, handle: str) -> None:
        """Do nothing: the helper of a terminal ends what it started when its other side has died."""

    def disk_used_bytes(self, execution_id: str) -> int:
        """Return what lies in its work folder, with deleted files that it still holds open."""
        folder = Folder.of(self.root, execution_id)
        group = folder.request.get("groups", {}).get("procs", "")
        try:
            used = shim.disk_used(str(folder.path / "work"), group) if folder.exists else 0
        except FileNotFoundError:
            return 0  # it is being removed just now
        return self.disks.note(execution_id, used) if used else 0

    def stats(self, execution_ids: Iterable[str]) -> dict[str, Stats]:
        """Return what each sandbox uses, from its control groups; one has no network but its own loopback."""
        return stats.read(self.root, execution_ids, self.disks)

    def foreign(self, node_did: str) -> list[Foreign]:
        """Return nothing: no engine, so nobody else's executions."""
        return []

    def kill(self, execution_id: str, cause: Cause, detail: str) -> None:
        """Kill the whole sandbox at once; `inspect` then names `cause`. Harmless when it has ended."""
        execution = self.inspect(execution_id)
        if execution.state in (State.EXITED, State.GONE):
            return
        folder = Folder.of(self.root, execution_id)
        folder.want(cause, detail)
        deadline = time.monotonic() + self.numbers.sandbox_timeout_s
        while time.monotonic() < deadline:
            # More than once: a sandbox that is just being made joins its group a moment later.
            shim.kill_all(folder.request["groups"]["procs"])
            if self._wait(folder, 0.2):
                return
        raise ExecutorError(Cause.START_FAILED, "its processes do not end after KILL", transient=True)

    def watch(self, node_did: str, ended: Callable[[str], None], stop: threading.Event) -> None:
        """Call `ended` for each execution that ends, and once for each that had ended before."""
        told: set[str] = set()
        watched: dict[str, int] = {}
        fired: set[int] = set()
        try:
            while not stop.is_set():
                names = self._names(node_did)
                told &= names
                for name in names - told:
                    if name in watched and watched[name] not in fired:
                        continue
                    state = self.inspect(name).state
                    if state is State.EXITED:
                        told.add(name)
                        ended(name)
                    elif name not in watched and (handle := self._pidfd(name)) is not None:
                        watched[name] = handle
                for name in [name for name in watched if name in told or name not in names]:
                    os.close(watched.pop(name))
                poll = select.poll()
                for handle in watched.values():
                    poll.register(handle, select.POLLIN)
                fired = {handle for handle, _ in poll.poll(self.numbers.sandbox_watch_s * 1000)}
        finally:
            for handle in watched.values():
                os.close(handle)

    def _names(self, node_did: str) -> set[str]:
        """Return the names of the node's executions."""
        root = self.base / node_hash(node_did)
        if root != self.root or not root.is_dir():
            return set()
        return {path.name for path in root.iterdir() if path.is_dir()}

    def _pidfd(self, execution_id: str) -> int | None:
        status = Folder.of(self.root, execution_id).status
        try:
            return os.pidfd_open(int(status["pid"])) if status else None
        except ProcessLookupError:
            return None

    def _wait(self, folder: Folder, within_s: float) -> bool:
        """Wait until the shim has written the end; False when it takes longer."""
        handle = self._pidfd(folder.path.name)
        try:
            deadline = time.monotonic() + within_s
            while folder.status.get("state") != "exited" and shim_alive(folder.status):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if handle is None:
                    time.sleep(_PAUSE_S)
                else:
                    poll = select.poll()
                    poll.register(handle, select.POLLIN)
                    poll.poll(left * 1000)
            return True
        finally:
            if handle is not None:
                os.close(handle)

    def _first_processes(self, folder: Folder) -> list[int]:
        """Return the sandbox's process 1: the one whose innermost pid is 1. It hands TERM on to the command."""
        found = []
        for pid in shim.processes(folder.request["groups"]["procs"]):
            try:
                text = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            line = next((line for line in text.splitlines() if line.startswith("NSpid:")), "")
            if len(line.split()) > 2 and line.split()[-1] == "1":
                found.append(pid)
        return found

    def _try(self, backend: str) -> str:
        """Make a sandbox that runs `true`; return why that failed, empty when it worked."""
        name = f"probe-{os.getpid()}-{threading.get_ident()}-{backend}"
        request = ExecutionRequest(
            execution_id=name,
            allocation_id="probe",
            deployment_id="probe",
            attempt=1,
            node_did=self.node_did,
            owner_did=self.node_did,
            type="task",
            params={"cmd": ["true"]},
            cpu_centicores=100,
            ram_bytes=64 << 20,
            disk_bytes=1 << 20,
            work_dir=self.root,
        )
        prober = self._prober()
        try:
            prober._start(request, backend)
            prober._wait(Folder.of(prober.root, name), self.numbers.sandbox_timeout_s)
            execution = prober.inspect(name)
            return "" if execution.cause is Cause.COMPLETED else execution.detail or str(execution.state)
        except (ExecutorError, subprocess.TimeoutExpired) as error:
            return str(error)
        finally:
            prober.remove(name)

    def _prober(self) -> ProcessExecutor:
        """Return an executor whose executions are nobody's: probes must not appear among the node's."""
        prober = ProcessExecutor.__new__(ProcessExecutor)
        prober.__dict__ |= self.__dict__ | {"root": self.base / "probe"}
        return prober

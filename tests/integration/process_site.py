"""Executors of sandboxed processes for tests: a node of its own each, nothing left behind."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capabilities.numbers import NUMBERS
from tests.support.services import wait_for
from workers.executors.base import Execution, ExecutionRequest, State
from workers.executors.process import ProcessExecutor

QUICK = dataclasses.replace(NUMBERS, sandbox_check_s=0.2, sandbox_watch_s=0.1, sandbox_refused_forks_max=50)
MIB = 1 << 20


@dataclasses.dataclass
class Bench:
    """One executor, and short ways to ask it."""

    executor: ProcessExecutor
    home: Path
    node_did: str

    def request(self, *cmd: str, **members: Any) -> ExecutionRequest:
        """Return a request for `cmd`; `members` replace any field, `params` are added to."""
        params = {"cmd": list(cmd)} | members.pop("params", {})
        values: dict[str, Any] = {
            "execution_id": uuid.uuid4().hex,
            "allocation_id": "e_n.a",
            "deployment_id": "e",
            "attempt": 1,
            "node_did": self.node_did,
            "owner_did": "did:key:owner",
            "type": "task",
            "params": params,
            "cpu_centicores": 100,
            "ram_bytes": 64 * MIB,
            "disk_bytes": 64 * MIB,
            "work_dir": self.home,
        }
        return ExecutionRequest(**(values | members))

    def start(self, *cmd: str, **members: Any) -> Execution:
        """Start `cmd`."""
        return self.executor.start(self.request(*cmd, **members))

    def finish(self, *cmd: str, **members: Any) -> tuple[Execution, str]:
        """Run `cmd` to its end; the execution and both streams of its log."""
        name = self.start(*cmd, **members).execution_id
        return self.ended(name), self.log(name)

    def ended(self, name: str, within_s: float = 30.0) -> Execution:
        """Return the execution once it has ended."""
        wait_for(
            lambda: self.executor.inspect(name).state is State.EXITED, timeout_s=within_s, what="the end"
        )
        return self.executor.inspect(name)

    def groups(self, name: str) -> dict[str, str]:
        """Return the control group's files of the sandbox."""
        request = json.loads((self.executor.root / name / "request.json").read_text())
        found: dict[str, str] = request["groups"]
        return found

    def pids(self, name: str) -> list[int]:
        """Return the host's pids of the sandbox's processes, those that are just ending among them."""
        return [int(line) for line in Path(self.groups(name)["procs"]).read_text().split()]

    def processes(self, name: str) -> int:
        """Return how many processes the kernel counts against the sandbox's limit at this moment.

        Counting `pids` may give more: the list is not read in one moment, and ended ones stand in it for a while.
        """
        events = Path(self.groups(name)["pids_events"])
        try:
            return int(events.with_name("pids.current").read_text())
        except OSError:
            return 0  # the group went with the last of them

    def log(self, name: str, stream: str = "both", **how: Any) -> str:
        """Return the log."""
        return b"".join(self.executor.logs(name, stream=stream, **how)).decode()


@contextmanager
def process_bench(backend: str, **numbers: Any) -> Iterator[Bench]:
    """Yield an executor with one back-end; afterwards everything of it is removed."""
    home = Path(tempfile.mkdtemp(prefix="dms-process-"))
    did = f"did:key:test-{uuid.uuid4().hex}"
    executor = ProcessExecutor(did, home, backend=backend, numbers=dataclasses.replace(QUICK, **numbers))
    try:
        yield Bench(executor, home, did)
    finally:
        for execution in executor.executions(did):
            executor.remove(execution.execution_id)
        shutil.rmtree(home, ignore_errors=True)
        assert not list(Path("/sys/fs/cgroup").glob(f"*/{executor.groups.name}"))

"""The folder of one execution, and whether its shim still lives. The folder is all there is: a new worker reads it.

DMS_HOME/work/process/<node hash>/<execution>/
    request.json  what was asked, and how it is run      status.json  what became of it (written by the shim)
    wanted.json   why it is being ended by us            lock         held while it is being made
    stdout.log[.1] stderr.log[.1]                        etc/ scripts/ work/ root/
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from workers.executors.base import Cause, Execution, ExecutorError, State
from workers.executors.process.shim import boot_id, read_json, start_ticks, write_json

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def node_hash(node_did: str) -> str:
    """Return the name of a node's folder and control group."""
    return hashlib.sha256(node_did.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Folder:
    """One execution's folder."""

    path: Path

    @classmethod
    def of(cls, root: Path, execution_id: str) -> Folder:
        """Return the folder of an execution; ExecutorError when the id is no plain name."""
        if not NAME.fullmatch(execution_id):
            detail = f"execution id {execution_id!r} is not letters, digits, '.', '_', '-'"
            raise ExecutorError(Cause.START_FAILED, detail)
        return cls(root / execution_id)

    @property
    def request(self) -> dict[str, Any]:
        """Return what was asked; empty when it was never written."""
        return read_json(str(self.path / "request.json"))

    @property
    def status(self) -> dict[str, Any]:
        """Return what the shim wrote last; empty when it has not started."""
        return read_json(str(self.path / "status.json"))

    @property
    def exists(self) -> bool:
        """Say whether there is such an execution."""
        return self.path.is_dir()

    def write(self, name: str, document: dict[str, object]) -> None:
        """Write one of the documents whole or not at all."""
        write_json(str(self.path / name), document)

    def want(self, cause: Cause, detail: str) -> None:
        """Remember why it is being ended; the first reason stays."""
        try:
            handle = os.open(self.path / "wanted.json.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        except FileNotFoundError:
            return
        with os.fdopen(handle, "w") as file:
            json.dump({"cause": cause.value, "detail": detail}, file)
        os.link(self.path / "wanted.json.new", self.path / "wanted.json")

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[bool]:
        """Hold the execution's lock; yields False when `wait` is off and somebody else holds it."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(handle)

    def remove(self) -> None:
        """Remove it with everything the workload wrote, whatever the modes."""

        def again(call: Callable[..., Any], path: str, error: object) -> None:
            try:
                Path(path).parent.chmod(0o700)
                if not Path(path).is_symlink():
                    Path(path).chmod(0o700)
                call(path)
            except OSError:
                return

        for _ in range(2):
            shutil.rmtree(self.path, onerror=again)
            if not self.path.exists():
                return


def shim_alive(status: dict[str, Any]) -> bool:
    """Say whether the process that wrote `status` still runs: same boot, same pid, same start."""
    return (
        bool(status)
        and status.get("boot_id") == boot_id()
        and status.get("ticks") == start_ticks(int(status["pid"]))
    )


def execution_of(request: dict[str, Any], status: dict[str, Any]) -> Execution:
    """Return the port's view of an execution's documents."""
    ids = request.get("ids_of", {})
    state = State(status.get("state", "starting"))
    return Execution(
        execution_id=ids.get("execution", ""),
        allocation_id=ids.get("allocation", ""),
        deployment_id=ids.get("deployment", ""),
        state=state,
        cause=Cause(status["cause"]) if "cause" in status else None,
        exit_code=status.get("exit_code"),
        detail=status.get("detail", ""),
        started_at=_moment(status.get("started_at")),
        ended_at=_moment(status.get("ended_at")),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

"""An engine that behaves as a real one does: its executions outlive the site, end by themselves, and can be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from workers.executors.base import Cause, Execution, ExecutionRequest, ExecutorError, State

ALIVE = frozenset({State.STARTING, State.RUNNING})


@dataclass
class Machine:
    """What exists outside the site's processes."""

    executions: dict[str, Execution] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    away: bool = False
    refusals: list[Cause] = field(default_factory=list)

    def copy(self) -> Machine:
        """Return it as it is now."""
        return Machine(dict(self.executions), set(self.networks), self.away, list(self.refusals))

    def alive(self) -> list[Execution]:
        """Return what has not ended."""
        return [one for one in self.executions.values() if one.state in ALIVE]

    def end(self, execution_id: str, cause: Cause, code: int | None, at: datetime) -> None:
        """Let an execution end by itself."""
        found = self.executions[execution_id]
        self.executions[execution_id] = replace(
            found, state=State.EXITED, cause=cause, exit_code=code, detail=f"ended: {cause}", ended_at=at
        )


class FakeEngine:
    """The executor. `happened` is told what has changed, `meanwhile` is done while a call is under way."""

    name = "docker"

    def __init__(
        self,
        happened: Callable[[str], None],
        ended: Callable[[str], None],
        refused: Callable[[str], None],
    ) -> None:
        self.machine = Machine()
        self.meanwhile: list[Callable[[], None]] = []
        self._happened = happened
        self._ended = ended
        self._refused = refused

    def _call(self) -> None:
        if self.machine.away:
            raise ExecutorError(Cause.ENGINE_UNREACHABLE, "the engine is away", transient=True)

    def _under_way(self) -> None:
        if self.meanwhile:
            self.meanwhile.pop()()

    def start(self, request: ExecutionRequest) -> Execution:
        """Create and start, or adopt."""
        self._call()
        key = request.execution_id
        if request.deployment_id not in self.machine.networks:
            self.machine.networks.add(request.deployment_id)
            self._happened("a network made")
        if key not in self.machine.executions:
            if self.machine.refusals:
                cause = self.machine.refusals.pop()
                self._refused(request.deployment_id)
                transient = cause is Cause.ENGINE_UNREACHABLE
                raise ExecutorError(cause, "as the test wants it", transient=transient)
            self.machine.executions[key] = Execution(
                key, request.allocation_id, request.deployment_id, State.STARTING
            )
            self._happened("a creation")
        if request.cancelled():
            self.machine.executions.pop(key, None)
            self._happened("a removal")
            raise ExecutorError(Cause.STOPPED, "cancelled before the start")
        found = self.machine.executions.get(key)
        if found is not None and found.state is State.STARTING:
            self.machine.executions[key] = replace(
                found, state=State.RUNNING, priv_addr="172.20.0.2", started_at=timezone.now()
            )
            self._happened("a start")
        self._under_way()
        return self._found(key)

    def _found(self, execution_id: str) -> Execution:
        gone = Execution(execution_id, "", "", State.GONE, cause=Cause.GONE)
        return self.machine.executions.get(execution_id, gone)

    def inspect(self, execution_id: str) -> Execution:
        """Return what is known."""
        self._call()
        return self._found(execution_id)

    def executions(self, node_did: str) -> list[Execution]:
        """Return everything."""
        self._call()
        return list(self.machine.executions.values())

    def stop(self, execution_id: str, grace_s: float) -> Execution:
        """End it if it runs."""
        self._call()
        self._under_way()
        if self._found(execution_id).state is State.RUNNING:
            self.machine.end(execution_id, Cause.STOPPED, 143, timezone.now())
            self._happened("a stop")
            self._ended(execution_id)
        return self._found(execution_id)

    def kill(self, execution_id: str, cause: Cause, detail: str) -> None:
        """End it at once."""
        self._call()
        if self._found(execution_id).state is State.RUNNING:
            self.machine.end(execution_id, cause, 137, timezone.now())
            self._happened("a kill")
            self._ended(execution_id)

    def remove(self, execution_id: str) -> None:
        """Take it away, running or not."""
        self._call()
        if self.machine.executions.pop(execution_id, None):
            self._happened("a removal")

    def deployments(self, node_did: str) -> list[str]:
        """Return whose networks exist."""
        self._call()
        return sorted(self.machine.networks)

    def remove_deployment(self, deployment_id: str) -> None:
        """Remove the network unless something is in it."""
        self._call()
        if any(one.deployment_id == deployment_id for one in self.machine.executions.values()):
            raise ExecutorError(Cause.START_FAILED, "the network is in use", transient=True)
        if deployment_id in self.machine.networks:
            self.machine.networks.discard(deployment_id)
            self._happened("a network removed")

    def pieces(self, *_: Any, **__: Any) -> Iterator[list[Any]]:
        """Have written nothing."""
        return iter(())

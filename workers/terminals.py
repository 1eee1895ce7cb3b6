"""Terminals of this site: from an allocation to the executor that runs it, on this machine."""

from __future__ import annotations

import logging

from django.utils import timezone

from deployments.models import Allocation
from deployments.outside import Command, Terminal, Unopened
from deployments.services.execs import exec_end, execs_forget, execs_lost
from workers.executors.base import Cause, Executor, ExecutorError, State
from workers.executors.registry import executors

logger = logging.getLogger(__name__)
NO_ANSWER = frozenset({Cause.GONE, Cause.ENGINE_UNREACHABLE})


class AllocationTerminals:
    """The `TerminalSource` of this site."""

    def open(self, allocation_id: str, command: Command) -> Terminal:
        """Run `command` inside the allocation; see `deployments.outside.TerminalSource`."""
        try:
            executor, execution_id = _found(allocation_id)
            return executor.open_terminal(execution_id, command)
        except ExecutorError as error:
            code = str(error.cause) if error.cause in NO_ANSWER else "exec_failed"
            raise Unopened(code, error.detail) from error

    def runs(self, allocation_id: str) -> bool:
        """Say whether the allocation's execution runs, as its executor sees it."""
        try:
            executor, execution_id = _found(allocation_id)
            return executor.inspect(execution_id).state is State.RUNNING
        except ExecutorError:
            return False

    def end(self, allocation_id: str, handle: str) -> None:
        """End what is left of a terminal."""
        try:
            executor, execution_id = _found(allocation_id)
            executor.end_terminal(execution_id, handle)
        except ExecutorError as error:
            logger.warning("ending a terminal in %s: %s", allocation_id, error.detail)


def _found(allocation_id: str) -> tuple[Executor, str]:
    allocation = Allocation.objects.select_related("node__identity").defer("spec").get(pk=allocation_id)
    executor = executors(allocation.node.identity.did).get(allocation.executor)
    if executor is None or not allocation.execution_id:
        raise ExecutorError(Cause.GONE, "nothing of it runs here")
    return executor, allocation.execution_id


def clear_up() -> None:
    """End sessions whose process has died, with what they left inside; forget old ones. Safe to run twice."""
    now = timezone.now()
    source = AllocationTerminals()
    for session in execs_lost(now):
        if session.handle:
            source.end(session.allocation_id, session.handle)
        exec_end(
            session,
            exit_code=None,
            reason="lost",
            bytes_in=session.bytes_in,
            bytes_out=session.bytes_out,
        )
    execs_forget(now)

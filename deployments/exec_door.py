"""The door to a command inside an allocation: who may, what, where; its answer is the ticket of a WebSocket."""

from __future__ import annotations

from pydantic import Field, field_validator

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments import outside
from deployments.models import Allocation
from deployments.outside import Command
from deployments.selectors import allocation_of, deployment_get
from deployments.services.execs import EXEC, exec_ask
from node.message import Message
from node.registry import Call, behavior

SIZE_MAX = 1_000


class ExecRequest(Message):
    """A command for a running allocation; without one a shell is started (bash, else sh)."""

    ensemble_id: str = Field(alias="EnsembleID")
    allocation_name: str = Field("", alias="AllocationName", description="May be left out when there is one.")
    command: list[str] = Field(default_factory=list, alias="Command", max_length=1_024)
    tty: bool = Field(False, alias="TTY", description="Give it a terminal; stdout and stderr are then one.")
    rows: int = Field(24, alias="Rows", ge=1, le=SIZE_MAX)
    columns: int = Field(80, alias="Columns", ge=1, le=SIZE_MAX)
    term: str = Field("xterm-256color", alias="Term", pattern=r"^[A-Za-z0-9._+-]{1,40}$")
    user: str = Field("", alias="User", max_length=64, pattern=r"^[A-Za-z0-9._:-]*$")

    @field_validator("command")
    @classmethod
    def _bounded(cls, words: list[str]) -> list[str]:
        size = sum(len(word.encode()) + 1 for word in words)
        if size > NUMBERS.exec_command_max_bytes:
            raise ValueError(f"{size} bytes are too many, {NUMBERS.exec_command_max_bytes} may be")
        if words and not words[0]:
            raise ValueError("the first word is the program, and it is empty")
        return words


class ExecResponse(Message):
    """`Ticket` opens `Path` as a WebSocket, once, until `ExpiresAt`, for whoever asked."""

    ticket: str = Field(alias="Ticket")
    path: str = Field(alias="Path")
    expires_at: str = Field(alias="ExpiresAt", description="RFC 3339.")
    allocation_id: str = Field(alias="AllocationID")
    allocation_name: str = Field(alias="AllocationName")
    executor: str = Field(alias="Executor")


@behavior(EXEC, request=ExecRequest, response=ExecResponse, changes=True)
def allocation_exec(call: Call, request: ExecRequest) -> ExecResponse:
    """Run a command inside a running allocation: the answer is a ticket for the WebSocket that carries it."""
    allocation = allocation_of(
        deployment_get(call.invoker, request.ensemble_id, to=call.path), request.allocation_name
    )
    if outside.OUTSIDE.terminals is None:
        raise Refusal("exec_unavailable", "this process cannot reach into allocations", status=503)
    if call.source == "peer":
        raise Refusal(
            "exec_needs_login",
            "a terminal goes over a WebSocket of this site, which takes its users' logins and tokens only",
            status=409,
            hint="./dms exec --url URL --token TOKEN",
        )
    if allocation.status != Allocation.Status.RUNNING:
        raise Refusal(
            "allocation_not_running",
            f"allocation {allocation} is {allocation.status}: there is nothing to run a command in",
            status=409,
            hint="./dms show tells why; ./dms logs what it wrote",
        )
    session, ticket = exec_ask(
        allocation=allocation,
        owner=call.invoker,
        command=Command(
            argv=tuple(request.command),
            tty=request.tty,
            rows=request.rows,
            columns=request.columns,
            term=request.term,
            user=request.user,
        ),
        source=call.source,
        remote_addr=call.remote_addr,
        now=call.now,
    )
    return ExecResponse(
        ticket=ticket,
        path=f"/ws/exec/{ticket}/",
        expires_at=session.expires_at.isoformat(),
        allocation_id=allocation.pk,
        allocation_name=str(allocation),
        executor=allocation.executor,
    )

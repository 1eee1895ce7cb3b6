"""The doors to one allocation: restart it, stop it."""

from __future__ import annotations

from pydantic import Field

from deployments.models import Allocation
from deployments.selectors import allocation_of, deployment_get
from deployments.services.by_hand import allocation_restart_ask, allocation_stop_ask
from node.message import Message
from node.registry import Call, behavior


class AllocationControlRequest(Message):
    """The allocation: its deployment, and its name in it."""

    id: str = Field(alias="ID", description="The deployment, by id or name.")
    allocation_name: str = Field(
        "", alias="AllocationName", description="`node.allocation` or the name alone; empty: the only one."
    )


class AllocationControlResponse(Message):
    """`OK` once it is asked for; the status tells when it is done."""

    ok: bool = Field(True, alias="OK")
    allocation_id: str = Field(alias="AllocationID")
    error: str = Field("", alias="Error")


@behavior(
    "/dms/node/allocation/restart",
    request=AllocationControlRequest,
    response=AllocationControlResponse,
    changes=True,
)
def allocation_restart(call: Call, request: AllocationControlRequest) -> AllocationControlResponse:
    """Start an allocation of a running deployment again, with the resources and ports that it has."""
    found = _find(call, request)
    allocation_restart_ask(found, actor=call.invoker.did, name=call.invoker.name)
    return AllocationControlResponse(allocation_id=found.pk)


@behavior(
    "/dms/node/allocation/stop",
    request=AllocationControlRequest,
    response=AllocationControlResponse,
    changes=True,
)
def allocation_stop(call: Call, request: AllocationControlRequest) -> AllocationControlResponse:
    """Stop one allocation for good; a deployment whose last allocation is stopped is completed."""
    found = _find(call, request)
    allocation_stop_ask(found, actor=call.invoker.did, name=call.invoker.name)
    return AllocationControlResponse(allocation_id=found.pk)


def _find(call: Call, request: AllocationControlRequest) -> Allocation:
    return allocation_of(deployment_get(call.invoker, request.id, to=call.path), request.allocation_name)

"""The door for draining a node."""

from __future__ import annotations

from pydantic import Field

from deployments.services.drain import node_drain, node_work
from node.message import Message
from node.models import Node
from node.registry import Call, behavior
from node.services.drain import undrain


class DrainRequest(Message):
    """Begin or end it. What runs may finish, unless `Stop` asks deployments with services to end."""

    drain: bool = Field(True, alias="Drain", description="False: take work again.")
    reason: str = Field("", alias="Reason", max_length=200, description="Shown to whoever is refused.")
    stop: bool = Field(
        False, alias="Stop", description="Shut down deployments with services; tasks alone always finish."
    )


class DrainResponse(Message):
    """Where the node is now."""

    draining: bool = Field(alias="Draining")
    drained: bool = Field(alias="Drained", description="Nothing runs here any more.")
    reason: str = Field("", alias="Reason")
    stopping: int = Field(0, alias="Stopping", description="Deployments that were asked to stop now.")
    allocations: int = Field(0, alias="Allocations", description="Allocations that have not ended here.")
    deployments: int = Field(0, alias="Deployments", description="Of how many deployments they are.")


@behavior("/dms/node/drain", request=DrainRequest, response=DrainResponse, changes=True)
def drain(call: Call, request: DrainRequest) -> DrainResponse:
    """Let the node take no new work until further notice, or let it take work again."""
    stopping = 0
    if request.drain:
        stopping = node_drain(call, reason=request.reason.strip(), stop=request.stop)
    else:
        undrain(call.node, actor=call.invoker.did)
    node = Node.objects.get(pk=call.node.pk)
    allocations, deployments = node_work(node)
    return DrainResponse(
        draining=node.draining_at is not None,
        drained=node.drained_at is not None,
        reason=node.drain_reason,
        stopping=stopping,
        allocations=allocations,
        deployments=deployments,
    )

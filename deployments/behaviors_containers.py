"""The doors to single containers, as the seed names them: start, stop, list. All go the ordinary way of deployments."""

from __future__ import annotations

from deployments.behaviors import deployment_shutdown
from deployments.container_list import find, foreign_item, foreign_rows, own_item, own_rows
from deployments.containers import allocation_id, name_for, started_alone, tree
from deployments.messages import DeploymentRequest
from deployments.messages_containers import (
    ContainerListRequest,
    ContainerListResponse,
    ContainerStartRequest,
    ContainerStartResponse,
    ContainerStopRequest,
    ContainerStopResponse,
)
from deployments.selectors import demand_on
from deployments.services.by_hand import allocation_stop_ask
from deployments.services.submit import deployment_submit
from node.registry import Call, behavior


@behavior(
    "/dms/node/container/start", request=ContainerStartRequest, response=ContainerStartResponse, changes=True
)
def container_start(call: Call, request: ContainerStartRequest) -> ContainerStartResponse:
    """Run one container of an image: a deployment of one allocation, placed and started in the background."""
    name = request.name or name_for(request.image, request.cmd)
    resources = request.resources
    ensemble = tree(
        name,
        executor=request.execution_type,
        kind=request.type,
        execution={
            "image": request.image,
            "entrypoint": request.entrypoint,
            "cmd": request.cmd,
            "environment": [f"{key}={value}" for key, value in request.env.items()],
        },
        resources={
            "cpu": {"cores": resources.cpu},
            "ram": {"size": resources.ram},
            "disk": {"size": resources.disk},
            **({"gpus": resources.gpus} if resources.gpus else {}),
        },
        ports=[port.model_dump() for port in request.ports],
    )
    deployment = deployment_submit(
        owner=call.invoker, node=call.node, ensemble=ensemble, now=call.now, deadline_s=request.deadline_s
    )
    return ContainerStartResponse(
        ok=True, ensemble_id=deployment.pk, allocation_id=allocation_id(deployment.pk, name), name=name
    )


@behavior(
    "/dms/node/container/stop", request=ContainerStopRequest, response=ContainerStopResponse, changes=True
)
def container_stop(call: Call, request: ContainerStopRequest) -> ContainerStopResponse:
    """Stop a container of this node; one that is somebody else's is refused."""
    allocation = find(call, request.execution_id, request.execution_type)
    demand_on(call.invoker, allocation.deployment, call.path)
    alone = started_alone(allocation.deployment.metadata) or allocation.deployment.allocations.count() == 1
    if alone:
        deployment_shutdown(call, DeploymentRequest(id=allocation.deployment_id))
    else:
        allocation_stop_ask(allocation, actor=call.invoker.did, name=call.invoker.name)
    return ContainerStopResponse(ok=True, ensemble_id=allocation.deployment_id, allocation_id=allocation.pk)


@behavior("/dms/node/container/list", request=ContainerListRequest, response=ContainerListResponse)
def container_list(call: Call, request: ContainerListRequest) -> ContainerListResponse:
    """List the containers and sandboxes on this node: the caller's own; all, others' too, for an administrator."""
    own = own_rows(call, request.execution_type)
    page = own[request.offset : request.offset + request.limit]
    items = [own_item(row) for row in page]
    if not request.own and not request.offset:
        items += [foreign_item(row) for row in foreign_rows(call, request.execution_type)]
    return ContainerListResponse(ok=True, containers=items, total=own.count())

"""Requests and responses of the container behaviors, in the style of the seed's VM behaviors. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from node.message import Message

Number = int | float | str


class ContainerResources(Message):
    """What the container may use."""

    cpu: Number = Field(0.5, alias="CPU", description="Cores.")
    ram: Number = Field("256MiB", alias="RAM", description='GiB, or a text with a unit: "512MiB".')
    disk: Number = Field("1GiB", alias="Disk", description='GiB, or a text with a unit: "10GB".')
    gpus: list[dict[str, Any]] = Field(
        default_factory=list, alias="GPUs", description="As in an ensemble: vendor, model, vram."
    )


class ContainerPort(Message):
    """A port of the machine led to a port of the container."""

    public: int = Field(0, alias="Public", ge=0, le=65_535, description="0: any free one.")
    private: int = Field(alias="Private", ge=1, le=65_535)
    protocol: Literal["tcp", "udp"] = Field("tcp", alias="Protocol")


class ContainerStartRequest(Message):
    """An image (or, with ExecutionType process, a command) and what it may use."""

    image: str = Field("", alias="Image", max_length=512)
    cmd: list[str] = Field(default_factory=list, alias="Cmd")
    entrypoint: list[str] = Field(default_factory=list, alias="Entrypoint")
    env: dict[str, str] = Field(default_factory=dict, alias="Env")
    name: str = Field("", alias="Name", max_length=60, description="A host name; default the image's.")
    type: Literal["service", "task"] = Field(
        "service", alias="Type", description="A service that exits has failed; a task is done."
    )
    execution_type: Literal["docker", "process"] = Field("docker", alias="ExecutionType")
    resources: ContainerResources = Field(default=ContainerResources(), alias="Resources")
    ports: list[ContainerPort] = Field(default_factory=list, alias="Ports", max_length=100)
    deadline_s: float | None = Field(
        None, alias="DeadlineSeconds", gt=0, description="Running must be reached within; default 600."
    )


class ContainerStartResponse(Message):
    """The ids under which it is found: it is placed and started in the background."""

    ok: bool = Field(alias="OK")
    ensemble_id: str = Field(alias="EnsembleID")
    allocation_id: str = Field(alias="AllocationID")
    name: str = Field(alias="Name")
    error: str = Field("", alias="Error")


class ContainerStopRequest(Message):
    """A container by its execution id, its name on the engine, its allocation's id or name."""

    execution_id: str = Field(alias="ExecutionID", min_length=1, max_length=255)
    execution_type: str = Field("", alias="ExecutionType", description="docker or process; empty: any.")


class ContainerStopResponse(Message):
    """`OK` once the stop is asked for."""

    ok: bool = Field(alias="OK")
    ensemble_id: str = Field(alias="EnsembleID")
    allocation_id: str = Field(alias="AllocationID")
    error: str = Field("", alias="Error")


class ContainerListRequest(Message):
    """Which: of one executor, and whether with those that are not the node's own."""

    execution_type: str = Field("", alias="ExecutionType", description="docker or process; empty: all.")
    own: bool = Field(False, alias="Own", description="Only this node's own.")
    limit: int = Field(1000, alias="Limit", ge=1, le=1000)
    offset: int = Field(0, alias="Offset", ge=0)


class ContainerItem(Message):
    """One container. `ReadOnly`: it is not this node's, and can only be looked at."""

    execution_id: str = Field(alias="ExecutionID")
    container_name: str = Field(alias="ContainerName", description="What the engine calls it.")
    name: str = Field(alias="Name")
    running: bool = Field(alias="Running")
    state: str = Field(alias="State")
    execution_type: str = Field(alias="ExecutionType")
    image: str = Field("", alias="Image")
    ensemble_id: str = Field("", alias="EnsembleID")
    deployment: str = Field("", alias="Deployment", description="The deployment's name.")
    allocation_id: str = Field("", alias="AllocationID")
    owner: str = Field("", alias="Owner", description="A DID.")
    ports: list[dict[str, Any]] = Field(default_factory=list, alias="Ports")
    since: str | None = Field(None, alias="Since")
    cpu_limit: float | None = Field(None, alias="CPULimit", description="Cores.")
    ram_limit_bytes: int | None = Field(None, alias="RAMLimitBytes")
    ram_used_bytes: int | None = Field(None, alias="RAMUsedBytes")
    read_only: bool = Field(False, alias="ReadOnly")


class ContainerListResponse(Message):
    """This node's containers that the caller may see, then, for administrators, everybody else's on the machine."""

    ok: bool = Field(alias="OK")
    containers: list[ContainerItem] = Field(alias="Containers")
    total: int = Field(alias="Total", description="Of the node's own.")
    error: str = Field("", alias="Error")

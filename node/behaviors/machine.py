"""Behaviors of the machine: onboarding, resources, hardware. Names of fields are the reference's."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from node.hardware import HardwareFacts, Usage
from node.message import Empty, Message
from node.registry import Call, behavior
from node.resources import Resources
from node.services import onboarding
from node.services.ledger import ledger
from node.services.machine import probe

Number = int | float | str


class CpuOffer(Message):
    """Cores to offer; the rest of the reference's object describes the CPU and is taken from the machine."""

    model_config = ConfigDict(extra="ignore")
    cores: Number | None = Field(default=None, description="Cores; two decimals.")


class SizeOffer(Message):
    """An amount of memory or disk."""

    model_config = ConfigDict(extra="ignore")
    size: Number | None = Field(default=None, description='GiB, or a text with a unit: "4GiB", "10GB".')


class ResourceOffer(Message):
    """What is to be offered."""

    cpu: CpuOffer = CpuOffer()
    ram: SizeOffer = SizeOffer()
    disk: SizeOffer = SizeOffer()
    gpus: list[dict[str, Any]] = Field(default_factory=list, description="GPUs by identity, each with vram.")


class OnboardingConfig(Message):
    """The reference's OnboardingConfig."""

    onboarded_resources: ResourceOffer = ResourceOffer()


class OnboardRequest(Message):
    """What to offer: in `Config`, or in the plain members."""

    no_gpu: bool = Field(default=False, alias="NoGPU", description="Offer no GPU.")
    gpus: str = Field(
        default="", alias="GPUs", description='"index:GiB,index:GiB"; neither this nor NoGPU: all, at 90 %.'
    )
    config: OnboardingConfig = Field(default=OnboardingConfig(), alias="Config")
    cpu: Number | None = Field(default=None, description="Cores; the same as Config's cpu.cores.")
    ram: Number | None = Field(default=None, description="Memory; the same as Config's ram.size.")
    disk: Number | None = Field(default=None, description="Disk; the same as Config's disk.size.")

    def resources(self) -> dict[str, Any]:
        """Return the reference's object with the plain members laid over it."""
        config = self.config.onboarded_resources
        return {
            "cpu": {"cores": config.cpu.cores if self.cpu is None else self.cpu},
            "ram": {"size": config.ram.size if self.ram is None else self.ram},
            "disk": {"size": config.disk.size if self.disk is None else self.disk},
            "gpus": config.gpus,
        }


class OnboardResponse(Message):
    """What is offered now."""

    success: bool
    error: str | None = None
    config: dict[str, Any] | None = Field(default=None, description="onboarded_resources; sizes in bytes.")


class OffboardResponse(Message):
    """Whether the machine offers nothing any more."""

    success: bool
    error: str | None = None


class OnboardStatusResponse(Message):
    """Whether the machine offers anything."""

    onboarded: bool
    error: str | None = None


class ResourcesResponse(Message):
    """An amount of the machine; sizes in bytes, clock in hertz."""

    ok: bool = Field(alias="OK")
    resources: dict[str, Any] | None = Field(default=None, alias="Resources")
    error: str | None = None


def _answer(amount: Resources) -> ResourcesResponse:
    return ResourcesResponse(ok=True, resources=amount.document())


@behavior("/dms/node/onboarding/onboard", request=OnboardRequest, response=OnboardResponse, changes=True)
def onboard(call: Call, request: OnboardRequest) -> OnboardResponse:
    """Offer a part of this machine, or change what is offered."""
    amount = onboarding.onboard(call, request.resources(), gpus=request.gpus, no_gpu=request.no_gpu)
    return OnboardResponse(success=True, config={"onboarded_resources": amount.document()})


@behavior("/dms/node/onboarding/offboard", request=Empty, response=OffboardResponse, changes=True)
def offboard(call: Call, request: Empty) -> OffboardResponse:
    """Offer nothing any more; refused, with a list, while work runs."""
    onboarding.offboard(call)
    return OffboardResponse(success=True)


@behavior("/dms/node/onboarding/status", request=Empty, response=OnboardStatusResponse)
def onboarding_status(call: Call, request: Empty) -> OnboardStatusResponse:
    """Say whether this machine is onboarded."""
    return OnboardStatusResponse(onboarded=onboarding.status(call.node))


@behavior("/dms/node/resources/allocated", request=Empty, response=ResourcesResponse)
def resources_allocated(call: Call, request: Empty) -> ResourcesResponse:
    """Say what running allocations hold of this machine."""
    return _answer(ledger(call.node).allocated)


@behavior("/dms/node/resources/free", request=Empty, response=ResourcesResponse)
def resources_free(call: Call, request: Empty) -> ResourcesResponse:
    """Say what is onboarded and neither committed nor allocated."""
    onboarding.require_onboarded(call.node)
    return _answer(ledger(call.node).free)


@behavior("/dms/node/resources/onboarded", request=Empty, response=ResourcesResponse)
def resources_onboarded(call: Call, request: Empty) -> ResourcesResponse:
    """Say what this machine offers."""
    onboarding.require_onboarded(call.node)
    return _answer(ledger(call.node).onboarded)


@behavior("/dms/node/hardware/spec", request=Empty, response=ResourcesResponse)
def hardware_spec(call: Call, request: Empty) -> ResourcesResponse:
    """Say what this machine has."""
    return _answer(HardwareFacts.parse(call.node.hardware or probe().hardware()).resources())


@behavior("/dms/node/hardware/usage", request=Empty, response=ResourcesResponse)
def hardware_usage(call: Call, request: Empty) -> ResourcesResponse:
    """Say what is used of this machine now, by everybody on it."""
    return _answer(Usage.parse(probe().usage()).used())

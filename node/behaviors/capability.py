"""Behaviors of machine capability: benchmark, price, location, and the node's preferences."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from node.message import Empty, Message
from node.models import BenchmarkRun, Node, Reservation
from node.preferences import POLICIES
from node.registry import Call, behavior
from node.selectors import amount_of, onboarded
from node.services import benchmark as benchmarks
from node.services.capability import capability_set, preferences_set
from node.services.ledger import ledger


class BenchmarkRequest(Message):
    """Ask for a measurement."""

    force: bool = Field(False, alias="Force", description="Also while work runs, which it may disturb.")


class BenchmarkResponse(Message):
    """The newest measurement, whether it is done or not."""

    id: int | None = Field(None, alias="ID")
    status: str = Field("never", alias="Status", description="never, wanted, running, done or failed.")
    reason: str = Field("", alias="Reason")
    version: int = Field(0, alias="Version", description="Figures of different versions are not comparable.")
    results: dict[str, Any] = Field(default_factory=dict, alias="Results", description="Value, unit, method.")
    asked_at: str = Field("", alias="AskedAt")
    ended_at: str = Field("", alias="EndedAt")
    current: bool = Field(False, alias="Current", description="Done, on the hardware as it is now.")


class MachineCapability(Message):
    """Hardware as an amount with what it costs, where it is and what it can run."""

    resources: dict[str, Any] | None = Field(None, alias="Resources")
    price: dict[str, str] = Field(
        default_factory=dict, alias="Price", description="amount, currency; an hour."
    )
    location: dict[str, Any] = Field(default_factory=dict, alias="Location")
    executors: list[str] = Field(default_factory=list, alias="Executors")
    benchmark: dict[str, Any] = Field(default_factory=dict, alias="Benchmark")


class CapabilityResponse(Message):
    """Registered is what is offered, available what is free of it, locked what is promised to jobs."""

    registered: MachineCapability = Field(alias="Registered")
    available: MachineCapability = Field(alias="Available")
    locked: dict[str, dict[str, Any]] = Field(
        default_factory=dict, alias="Locked", description="By allocation."
    )


class CapabilitySetRequest(Message):
    """What the owner says of the machine; what is left out stays, an empty one is taken away."""

    price: dict[str, str] | None = Field(
        None, alias="Price", description='{"amount": "0.50", "currency": "EUR"}'
    )
    location: dict[str, str] | None = Field(None, alias="Location", description="continent, country, city.")


class PreferencesResponse(Message):
    """What the node wants to run."""

    preferences: dict[str, Any] = Field(alias="Preferences")
    known: dict[str, str] = Field(
        alias="Known", description="Every preference that there is, with its meaning."
    )


class PreferencesSetRequest(Message):
    """Preferences by name: executors, owner_share, min_price, owners, opening_hours."""

    preferences: dict[str, Any] = Field(alias="Preferences")
    whole: bool = Field(True, alias="Whole", description="False: those that are not named stay.")


def _run(row: BenchmarkRun | None, node: Node) -> BenchmarkResponse:
    if row is None:
        return BenchmarkResponse()
    return BenchmarkResponse(
        id=row.pk,
        status=row.status,
        reason=row.reason,
        version=row.version,
        results=row.results,
        asked_at=row.asked_at.isoformat(),
        ended_at=row.ended_at.isoformat() if row.ended_at else "",
        current=benchmarks.is_current(row, node),
    )


@behavior("/dms/node/benchmark", request=BenchmarkRequest, response=BenchmarkResponse, changes=True)
def benchmark(call: Call, request: BenchmarkRequest) -> BenchmarkResponse:
    """Measure this machine; the answer comes at once, the figures by its status."""
    return _run(benchmarks.ask(call.node, by=call.invoker.did, force=request.force), call.node)


@behavior("/dms/node/benchmark/status", request=Empty, response=BenchmarkResponse)
def benchmark_status(call: Call, request: Empty) -> BenchmarkResponse:
    """Say how the newest measurement stands, and its figures."""
    return _run(benchmarks.newest(call.node), call.node)


def _capability(node: Node) -> CapabilityResponse:
    done = benchmarks.registered(node)
    offer = onboarded(node)
    said = {
        "price": node.price,
        "location": node.location,
        "executors": sorted(name for name, state in node.executors.items() if state.get("available")),
    }
    figures = {"at": done.ended_at.isoformat() if done.ended_at else "", **done.results} if done else {}
    free = ledger(node).free.document() if offer is not None else None
    locked = Reservation.objects.filter(node=node, state=Reservation.State.COMMITTED).order_by("created_at")
    return CapabilityResponse(
        registered=MachineCapability(resources=offer and offer.document(), benchmark=figures, **said),
        available=MachineCapability(resources=free, benchmark=figures, **said),
        locked={row.allocation_id: amount_of(row).document() for row in locked},
    )


@behavior("/dms/node/capability/get", request=Empty, response=CapabilityResponse)
def capability_get(call: Call, request: Empty) -> CapabilityResponse:
    """Say what this machine offers, what of it is available, and what is locked for jobs."""
    return _capability(call.node)


@behavior("/dms/node/capability/set", request=CapabilitySetRequest, response=CapabilityResponse, changes=True)
def capability_change(call: Call, request: CapabilitySetRequest) -> CapabilityResponse:
    """Set the price of an hour and the location of this machine."""
    return _capability(capability_set(call, price=request.price, location=request.location))


def _preferences(settings: dict[str, Any]) -> PreferencesResponse:
    known = {name: policy.title for name, policy in POLICIES.items()}
    return PreferencesResponse(preferences=settings, known=known)


@behavior("/dms/node/preferences/get", request=Empty, response=PreferencesResponse)
def preferences_get(call: Call, request: Empty) -> PreferencesResponse:
    """Say what this node wants to run."""
    return _preferences(call.node.preferences)


@behavior(
    "/dms/node/preferences/set", request=PreferencesSetRequest, response=PreferencesResponse, changes=True
)
def preferences_change(call: Call, request: PreferencesSetRequest) -> PreferencesResponse:
    """Set what this node wants to run: bids are refused, with the reason, where it does not."""
    return _preferences(preferences_set(call, request.preferences, whole=request.whole))

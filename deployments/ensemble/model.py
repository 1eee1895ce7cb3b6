"""The typed result of reading an ensemble. Immutable; sizes in bytes, cores in hundredths, clocks in hertz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXECUTORS = ("docker", "process", "firecracker", "containerd", "null")
ALLOCATION_TYPES = ("service", "task")
# When what depends on an allocation may start.
STARTED, COMPLETED = "started", "completed"
READY_WHEN = (STARTED, COMPLETED)
ALLOCATION_RECOVERIES = ("stay_down", "one_for_one", "one_for_all", "rest_for_one")
NODE_RECOVERIES = ("stay_down", "restart", "redeploy")
ESCALATIONS = ("redeploy", "teardown")
STRATEGIES = ("OneForOne", "AllForOne", "RestForOne")
CHECKS = ("command", "http", "tcp")
EXPECTATIONS = ("equals", "contains", "starts_with")
PROTOCOLS = ("tcp", "udp")
CONTINENTS = ("Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America")


@dataclass(frozen=True, slots=True)
class GpuSpec:
    """A wanted GPU; empty fields do not matter."""

    vendor: str = ""
    model: str = ""
    vram_bytes: int = 0
    index: int | None = None
    pci_address: str = ""
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """What an allocation wants. `details` holds the optional members of cpu, ram and disk (clocks in Hz)."""

    cpu_centicores: int = 0
    ram_bytes: int = 0
    disk_bytes: int = 0
    gpus: tuple[GpuSpec, ...] = ()
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Execution:
    """How an executor starts it: its type and that executor's parameters."""

    type: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthcheckSpec:
    """How to see that it works; `interval_ns`, `timeout_ns` and `retries` 0 mean the site's default.

    `response_type` empty or `string` means the kind's own: http compares the whole body, the others look for the
    value. `status` empty means any 2xx.
    """

    type: str
    exec: tuple[str, ...] = ()
    endpoint: str = ""
    port: int = 0
    status: str = ""
    response_type: str = ""
    response_value: str = ""
    interval_ns: int = 0
    timeout_ns: int = 0
    retries: int = 0
    start_period_ns: int = 0


@dataclass(frozen=True, slots=True)
class RestartSpec:
    """At most `max` restarts within a time, and the pause before each: doubled each time up to the longest."""

    max: int
    within_ns: int
    backoff_ns: int
    backoff_max_ns: int

    @property
    def within_s(self) -> float:
        """The time within which `max` counts."""
        return self.within_ns / 1e9

    @property
    def backoff_s(self) -> float:
        """The first pause."""
        return self.backoff_ns / 1e9

    @property
    def backoff_max_s(self) -> float:
        """The longest pause."""
        return self.backoff_max_ns / 1e9


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A folder or remote volume mounted at `mount_destination`."""

    type: str
    mount_destination: str
    name: str = ""
    src: str = ""
    read_only: bool = False
    servers: tuple[str, ...] = ()
    client_private_key: str = ""
    client_pem: str = ""
    client_ca: str = ""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key put into the allocation."""

    type: str
    file: str
    dest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationSpec:
    """One workload. `restart` None: the site's intensity; `retry`: how often a failed task is run again;
    `ready_when`: whether what depends on it waits for its start (and health) or for its end."""

    name: str
    type: str = ""
    executor: str = ""
    resources: ResourceSpec = ResourceSpec()
    execution: Execution = Execution()
    dns_name: str = ""
    volumes: tuple[VolumeSpec, ...] = ()
    healthcheck: HealthcheckSpec | None = None
    failure_recovery: str = "stay_down"
    depends_on: tuple[str, ...] = ()
    ready_when: str = STARTED
    provision: tuple[str, ...] = ()
    keys: tuple[KeySpec, ...] = ()
    restart: RestartSpec | None = None
    retry: int = 0
    max_runtime_ns: int = 0

    @property
    def max_runtime_s(self) -> float:
        """The longest time that it may run, 0 for any."""
        return self.max_runtime_ns / 1e9


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A port of the node led to a port of an allocation; `public` 0 asks for any free one."""

    public: int
    private: int
    allocation: str
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Place:
    """One accepted or rejected location; empty fields do not matter."""

    continent: str
    country: str = ""
    city: str = ""
    asn: int = 0
    isp: str = ""


@dataclass(frozen=True, slots=True)
class LocationSpec:
    """Where a node may be."""

    accept: tuple[Place, ...] = ()
    reject: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One logical node: what sits together on one machine."""

    name: str
    allocations: tuple[str, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    location: LocationSpec | None = None
    peer: str = ""
    redundancy: int = 0
    failure_recovery: str = "stay_down"


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """A constraint between two nodes: round trip at most `rtt_ms`, bandwidth at least `bw_kbps`; 0: none."""

    source: str
    target: str
    rtt_ms: float = 0
    bw_kbps: float = 0


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """A supervision strategy over allocations and further groups."""

    strategy: str = ""
    allocations: tuple[str, ...] = ()
    children: tuple[SupervisorSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ContractSpec:
    """A contract that the deployment runs under."""

    did: str
    host: str = ""
    provider: str = ""
    requestor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """A whole ensemble, valid by construction when it comes out of `parse`."""

    allocations: Mapping[str, AllocationSpec] = field(default_factory=dict)
    nodes: Mapping[str, NodeSpec] = field(default_factory=dict)
    edges: tuple[EdgeSpec, ...] = ()
    supervisor: SupervisorSpec | None = None
    scripts: Mapping[str, bytes] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    subnet_join: bool | None = None
    exclude_peers: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    contracts: Mapping[str, ContractSpec] = field(default_factory=dict)
    escalation_strategy: str = ""
    max_runtime_ns: int = 0

    @property
    def max_runtime_s(self) -> float:
        """The longest time from Running to its end, 0 for any."""
        return self.max_runtime_ns / 1e9

    @property
    def only_tasks(self) -> bool:
        """Whether it ends by itself: every allocation is a task."""
        return all(allocation.type == "task" for allocation in self.allocations.values())

    def node_of(self, allocation: str) -> NodeSpec | None:
        """Return the node that holds `allocation`."""
        return next((node for node in self.nodes.values() if allocation in node.allocations), None)

    def document(self) -> dict[str, Any]:
        """Return the reference's JSON, `{"V1": {...}}`."""
        from deployments.ensemble.document import ensemble_document

        return ensemble_document(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Ensemble:
        """Return the ensemble of a document made by `document`. ValueError when it is not one.

        The document is trusted (it comes from a row); `parse_document` checks one that is not.
        """
        from deployments.ensemble.document import ensemble_of

        return ensemble_of(document)

"""Services that have been read -> the ensemble as a tree, with the place that each part comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deployments.ensemble.names import is_host_name
from deployments.ensemble.problems import Mark, join
from deployments.translate.emit import Noted
from deployments.translate.grouping import Groups
from deployments.translate.naming import Names, dns_name, mentions
from deployments.translate.notes import Notes
from deployments.translate.ports import Port, public_ports
from deployments.translate.service import COMPLETED, Service

MAX_ALLOCATIONS = 1_000


@dataclass(slots=True)
class Assembly:
    """The ensemble, and for each path of it the path and place in the compose file."""

    tree: dict[str, Any]
    places: dict[str, tuple[str, Mark]] = field(default_factory=dict)


def assemble(services: list[Service], project: str, notes: Notes, reach: tuple[int, int]) -> Assembly:
    """Return the ensemble; `reach` are the public ports that nodes offer."""
    known = {service.name: service for service in services}
    if sum(service.replicas for service in services) > MAX_ALLOCATIONS:
        notes.refuse(
            "services", services[0].mark, f"more than {MAX_ALLOCATIONS} copies in all", "split the file"
        )
        return Assembly({})
    for service in services:
        _settle_dependencies(service, known, notes)
    tree: dict[str, Any] = {"version": "V1"}
    if project:
        tree["metadata"] = {"name": project}
    tree["allocations"] = {}
    found = Assembly(tree)
    names = _names(services, notes)
    said = {service.name: mentions(service.texts) for service in services}
    everything = (
        {name: set().union(*(said[other] for other in said if other != name)) for name in said}
        if len(services) <= 50
        else dict.fromkeys(said, set().union(*said.values()))
    )
    for service in services:
        _allocations(service, names, everything[service.name], notes, found)
    tree["nodes"] = _nodes(services, known, names, said, notes, reach, found)
    return found


def _settle_dependencies(service: Service, known: dict[str, Service], notes: Notes) -> None:
    for name, (condition, mark) in list(service.depends_on.items()):
        path = join(service.path, "depends_on")
        other = known.get(name)
        if other is None or name == service.name:
            del service.depends_on[name]
            what = "itself" if other is not None else f"{name[:60]!r}, which is not there"
            notes.lost(path, mark, f"it waits for {what}")
        elif condition == COMPLETED:
            other.task = other.awaited_to_end = True


def _names(services: list[Service], notes: Notes) -> dict[str, list[str]]:
    """Return the names of each service's allocations: one, or one a copy."""
    made = Names(notes)
    found: dict[str, list[str]] = {}
    for service in services:
        if service.replicas == 1:
            found[service.name] = [made.take(service.name, service.path, service.mark)]
            continue
        found[service.name] = [
            made.take(service.name, service.path, service.mark, f"-{number}")
            for number in range(1, service.replicas + 1)
        ]
    return found


def _allocations(
    service: Service, names: dict[str, list[str]], said: set[str], notes: Notes, found: Assembly
) -> None:
    mine = names[service.name]
    # Compose reaches a service by its own name; a mended one is the allocation's.
    own = service.name if is_host_name(service.name) and len(mine) > 1 else mine[0]
    own = dns_name(service.aliases, said, notes, own)
    if len(mine) == 1 and mine[0] != service.name and service.name.lower() in said:
        notes.lost(service.path, service.mark, f"others speak of {service.name[:60]}: write {own} there")
    if len(mine) > 1 and own.lower() in said:
        notes.lost(
            service.path, service.mark, f"the name {own} leads to the first of {len(mine)} copies only"
        )
    sizing = service.sizing
    amounts = {"cpu": sizing.cores, "ram": sizing.ram, "disk": sizing.disk}
    assumed = "; ".join(f"{part} {amounts[part]}" for part in sizing.assumed)
    notes.assume(service.path, service.mark, assumed)
    for index, name in enumerate(mine):
        found.tree["allocations"][name] = _allocation(
            service, names, own if index == 0 and own != name else ""
        )
        found.places[join("allocations", name)] = (service.path, service.mark)


def _allocation(service: Service, names: dict[str, list[str]], own_name: str) -> dict[str, Any]:
    sizing = service.sizing

    def amount(part: str, text: str) -> Noted:
        return Noted.of(text, "assumed" if part in sizing.assumed else "")

    resources: dict[str, Any] = {
        "cpu": {"cores": amount("cpu", sizing.cores)},
        "ram": {"size": amount("ram", sizing.ram)},
        "disk": {"size": amount("disk", sizing.disk)},
    }
    if sizing.gpus:
        resources["gpus"] = sizing.gpus
    found: dict[str, Any] = {"type": "task" if service.task else "service", "executor": "docker"}
    if own_name:
        found["dns_name"] = own_name
    found |= {"resources": resources, "execution": service.execution}
    if service.depends_on:
        found["depends_on"] = [copy for other in service.depends_on for copy in names[other]]
    if service.awaited_to_end:
        found["ready_when"] = "completed"
    if service.health and not service.task:
        found["healthcheck"] = service.health
    if service.volumes:
        found["volume"] = service.volumes
    return found | (service.restarts.of_task() if service.task else service.restarts.of_service())


def _nodes(
    services: list[Service],
    known: dict[str, Service],
    names: dict[str, list[str]],
    said: dict[str, set[str]],
    notes: Notes,
    reach: tuple[int, int],
    found: Assembly,
) -> dict[str, Any]:
    groups = Groups(known)
    sharers: dict[str, list[str]] = {}
    reached: dict[str, str] = {}
    for service in services:
        for name in [service.name, *names[service.name], *(alias for alias, _, _ in service.aliases)]:
            reached.setdefault(name.lower(), service.name)
    for service in services:
        for other in [*service.depends_on, *service.beside]:
            groups.join(service.name, other)
        for word in said[service.name] & reached.keys():
            groups.join(service.name, reached[word])
        for volume in service.volumes:
            sharers.setdefault(volume["src"], []).append(service.name)
    groups.join_sharers(sharers)
    nodes: dict[str, Any] = {}
    for number, members in enumerate(groups.groups(), 1):
        name = f"node{number}"
        first = known[members[0]]
        found.places[join("nodes", name)] = (first.path, first.mark)
        node: dict[str, Any] = {"allocations": [copy for member in members for copy in names[member]]}
        ports = public_ports(_ports([known[member] for member in members], names, notes), notes, reach)
        if ports:
            node["ports"] = ports
        nodes[name] = node
    return nodes


def _ports(services: list[Service], names: dict[str, list[str]], notes: Notes) -> list[tuple[str, Port]]:
    found = []
    for service in services:
        for index, copy in enumerate(names[service.name]):
            for port in service.ports:
                if index and port.published:
                    notes.lost(
                        port.path,
                        port.mark,
                        f"copy {index + 1} gets any free port: {port.published} leads to the first",
                    )
                    port = Port(0, port.target, port.protocol, port.path, port.mark)
                found.append((copy, port))
    return found

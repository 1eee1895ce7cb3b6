"""The rules between members: names that must exist, nodes that must agree, cycles."""

from __future__ import annotations

from deployments.ensemble.fields import Fields
from deployments.ensemble.graph import Cycle, levels_of
from deployments.ensemble.model import Ensemble, NodeSpec
from deployments.ensemble.problems import Mark, Report, join, suggest
from deployments.ensemble.tree import Mapping, Sequence, Tree


class Places:
    """Finds where in the text a path of keys and indices stands."""

    def __init__(self, root: Tree) -> None:
        self.root = root

    def mark(self, *keys: str | int) -> Mark:
        """Return the place of the last of `keys` that exists."""
        node, mark = self.root, self.root.mark
        for key in keys:
            if isinstance(node, Mapping) and isinstance(key, str) and key in node.items:
                mark = node.mark_of(key)
                node = node.items[key]
            elif isinstance(node, Sequence) and isinstance(key, int) and key < len(node.items):
                node = node.items[key]
                mark = node.mark
            else:
                break
        return mark


def check(ensemble: Ensemble, top: Fields) -> None:
    """Report every breach of a rule that concerns more than one member."""
    report, places = top.report, Places(Mapping(top.items, top.mark, top.node.marks))
    _distinct(ensemble, report, places)
    held = _held(ensemble, report, places)
    for name, node in ensemble.nodes.items():
        _ports(ensemble, name, node, report, places)
        if node.redundancy:
            _standbys(ensemble, name, node, report, places)
    _dependencies(ensemble, held, report, places)
    _restarts(ensemble, report, places)


def _distinct(ensemble: Ensemble, report: Report, places: Places) -> None:
    names: dict[str, str] = {}
    dns_names: dict[str, str] = {}
    for name, spec in ensemble.allocations.items():
        path = join("allocations", name)
        twin = names.setdefault(name.lower(), name)
        if twin != name:
            report.error(
                path,
                places.mark("allocations", name),
                f"the names {twin} and {name} differ in case only",
                "give each allocation a name of its own",
            )
        twin = dns_names.setdefault(spec.dns_name.lower(), name)
        if twin != name and spec.dns_name:
            report.error(
                join(path, "dns_name"),
                places.mark("allocations", name, "dns_name"),
                f"duplicate dns_name {spec.dns_name}: {twin} has it too",
                "give each allocation a dns_name of its own",
            )


def _held(ensemble: Ensemble, report: Report, places: Places) -> dict[str, str]:
    """Return the node of each allocation."""
    held: dict[str, str] = {}
    for node_name, node in ensemble.nodes.items():
        for index, name in enumerate(node.allocations):
            path = join(join(join("nodes", node_name), "allocations"), index)
            mark = places.mark("nodes", node_name, "allocations", index)
            if name not in ensemble.allocations:
                report.error(path, mark, f"no allocation {name[:60]!r}", suggest(name, ensemble.allocations))
            elif name in held:
                report.error(
                    path,
                    mark,
                    f"allocation {name} is on node {held[name]} already",
                    "an allocation sits on one node; define a second one (anchors avoid writing it twice)",
                )
            else:
                held[name] = node_name
    for name in ensemble.allocations:
        if ensemble.nodes and name not in held:
            report.warn(
                join("allocations", name),
                places.mark("allocations", name),
                f"allocation {name} is on no node and will not run",
                f"list it on a node: `allocations: [{name}]`",
            )
    return held


def _ports(ensemble: Ensemble, name: str, node: NodeSpec, report: Report, places: Places) -> None:
    taken: dict[tuple[int, str], int] = {}
    for index, port in enumerate(node.ports):
        path = join(join(join("nodes", name), "ports"), index)
        mark = places.mark("nodes", name, "ports", index)
        spec = ensemble.allocations.get(port.allocation)
        if port.allocation and spec is None:
            hint = suggest(port.allocation, node.allocations)
            report.error(join(path, "allocation"), mark, f"no allocation {port.allocation[:60]!r}", hint)
        elif port.allocation and port.allocation not in node.allocations:
            report.error(
                join(path, "allocation"),
                mark,
                f"allocation {port.allocation} is not on node {name}",
                "list the port on the allocation's own node",
            )
        elif spec is not None and spec.executor == "process":
            report.error(
                path,
                mark,
                f"allocation {port.allocation} runs as a process, which has no network of its own",
                "use the executor docker for what listens on a port",
            )
        first = taken.setdefault((port.public, port.protocol), index)
        if port.public and first != index:
            report.error(
                join(path, "public"),
                mark,
                f"public port {port.public}/{port.protocol} is listed twice on node {name}",
                f"ports[{first}] has it already",
            )


def _standbys(ensemble: Ensemble, name: str, node: NodeSpec, report: Report, places: Places) -> None:
    for number in range(1, node.redundancy + 1):
        standby = f"{name}-standby-{number}"
        if standby in ensemble.nodes:
            report.error(
                join("nodes", standby),
                places.mark("nodes", standby),
                f"{standby} is the name of a standby of node {name}",
                "rename the node",
            )


def _restarts(ensemble: Ensemble, report: Report, places: Places) -> None:
    for name, spec in ensemble.allocations.items():
        asked = spec.failure_recovery != "stay_down" or ensemble.supervisor is not None
        if spec.restart is not None and not asked:
            report.warn(
                join(join("allocations", name), "restart"),
                places.mark("allocations", name, "restart"),
                f"says how often {name} may be restarted, but its failure_recovery is stay_down",
                "write `failure_recovery: one_for_one`",
            )


def _dependencies(ensemble: Ensemble, held: dict[str, str], report: Report, places: Places) -> None:
    sound = True
    for name, spec in ensemble.allocations.items():
        for index, other in enumerate(spec.depends_on):
            path = join(join(join("allocations", name), "depends_on"), index)
            mark = places.mark("allocations", name, "depends_on", index)
            if other == name:
                sound = False
                report.error(path, mark, f"allocation {name} depends on itself", "remove the line")
            elif other not in ensemble.allocations:
                report.error(
                    path, mark, f"no allocation {other[:60]!r}", suggest(other, ensemble.allocations)
                )
            elif name in held and other in held and held[name] != held[other]:
                report.error(
                    path,
                    mark,
                    f"{name} is on node {held[name]}, but {other}, which it depends on, on {held[other]}",
                    "put both on the same node",
                )
    if not sound:
        return
    try:
        levels_of({name: spec.depends_on for name, spec in ensemble.allocations.items()})
    except Cycle as cycle:
        first = cycle.names[0]
        trail = " -> ".join(cycle.names if len(cycle.names) <= 12 else [*cycle.names[:12], "..."])
        report.error(
            join(join("allocations", first), "depends_on"),
            places.mark("allocations", first, "depends_on"),
            f"cyclic dependencies detected in allocations: {trail}",
            "remove one of these dependencies",
        )

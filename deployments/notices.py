"""What an ensemble asks for and this release does not act on: said at submission, not ignored. Pure."""

from __future__ import annotations

from deployments.ensemble.model import AllocationSpec, Ensemble, NodeSpec


def notices(ensemble: Ensemble) -> list[str]:
    """Return one sentence for each member that is carried in the manifest and nothing more."""
    found = [text for spec in ensemble.allocations.values() for text in _of_allocation(spec)]
    found += [text for spec in ensemble.nodes.values() for text in _of_node(spec)]
    if ensemble.contracts:
        found.append("contracts: carried in the manifest, not asked about")
    if ensemble.subnet_join:
        found.append("subnet.join: the orchestrator's machine does not join the allocations' network")
    return found


def _of_allocation(spec: AllocationSpec) -> list[str]:
    where = f"allocations.{spec.name}"
    found = []
    if spec.keys:
        found.append(f"{where}.keys: not put into the allocation")
    return found


def _of_node(spec: NodeSpec) -> list[str]:
    where = f"nodes.{spec.name}"
    found = []
    if spec.redundancy:
        found.append(f"{where}.redundancy: no standby copies are started")
    if spec.failure_recovery != "stay_down":
        found.append(f"{where}.failure_recovery: {spec.failure_recovery} is not acted on; it stays down")
    return found

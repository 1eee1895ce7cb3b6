"""The root's smaller members: edges, supervisor, keys, scripts, subnet, metadata, contracts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection

from deployments.ensemble.fields import Context, Fields, Shape, fields, text_of
from deployments.ensemble.model import STRATEGIES, ContractSpec, EdgeSpec, SupervisorSpec
from deployments.ensemble.problems import join, suggest
from deployments.ensemble.tree import Scalar, Tree

_EDGE = Shape(
    "an edge",
    frozenset({"edges", "S", "T", "rtt", "bw"}),
    hints={"symetric": "every edge holds both ways", "symmetric": "every edge holds both ways"},
)
_SUPERVISOR = Shape(
    "supervisor",
    frozenset({"strategy", "allocations", "children"}),
    {"alloctions": "allocations"},
)
_SUBNET = Shape("subnet", frozenset({"join"}))
_CONTRACT = Shape("a contract", frozenset({"did", "host", "provider", "requestor"}))


def read_edges(top: Fields, nodes: Collection[str]) -> tuple[EdgeSpec, ...]:
    """Return the constraints between nodes."""
    found = []
    for path, item in top.rows("edges"):
        edge = fields(top.context, _EDGE, item, path)
        if edge is None:
            continue
        if "edges" in edge.items:
            ends = edge.texts("edges")
            if len(ends) != 2:
                edge.error("edges", "must name exactly two nodes", "write `edges: [node1, node2]`")
                continue
            source, target = ends
        else:
            hint = "write `edges: [node1, node2]`"
            source, target = edge.text("S", required=hint), edge.text("T", required=hint)
        if source and source == target:
            edge.report.error(path, edge.mark, "an edge leads from a node to another", "name two nodes")
        for end in (source, target):
            if end and end not in nodes:
                edge.report.error(path, edge.mark, f"no node {end[:60]!r}", suggest(end, nodes))
        found.append(EdgeSpec(source, target, _limit(edge, "rtt"), _limit(edge, "bw")))
    return tuple(found)


def _limit(edge: Fields, key: str) -> float:
    value = edge.number(key)
    if value is None:
        return 0
    if value < 0:
        edge.error(key, f"{key} must not be negative", "milliseconds for rtt, Kbit/s for bw")
    return int(value) if value == value.to_integral_value() else float(value)


def read_supervisor(top: Fields, allocations: Collection[str]) -> SupervisorSpec | None:
    """Return the supervision tree."""
    supervisor = top.child("supervisor", _SUPERVISOR)
    return None if supervisor is None else _supervisor(supervisor, allocations)


def _supervisor(supervisor: Fields, allocations: Collection[str]) -> SupervisorSpec:
    for path, item in supervisor.rows("allocations"):
        name = item.text if isinstance(item, Scalar) else ""
        if name and name not in allocations:
            supervisor.report.error(
                path, item.mark, f"no allocation {name[:60]!r}", suggest(name, allocations)
            )
    children = [
        _supervisor(child, allocations)
        for path, item in supervisor.rows("children")
        if (child := fields(supervisor.context, _SUPERVISOR, item, path))
    ]
    return SupervisorSpec(
        strategy=supervisor.choice("strategy", STRATEGIES, ""),
        allocations=supervisor.texts("allocations"),
        children=tuple(children),
    )


def read_texts(top: Fields, key: str) -> dict[str, str]:
    """Return a map of names to texts (`metadata`, `keys`)."""
    found = {}
    for name, _, node in top.names(key):
        path = join(key, name)
        if isinstance(node, Scalar) and node.value is not None:
            found[name] = node.text
        else:
            found[name] = text_of(top.context, node, path)
    return found


def read_scripts(top: Fields) -> dict[str, bytes]:
    """Return the provisioning scripts as bytes."""
    found = {}
    for name, _, node in top.names("scripts"):
        path = join("scripts", name)
        text = text_of(top.context, node, path, may_be_empty=True)
        found[name] = text.encode()
        if top.context.canonical:
            try:
                found[name] = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                top.report.error(path, node.mark, "must be base64", "V1 JSON holds scripts in base64")
    return found


def read_subnet(top: Fields) -> bool | None:
    """Return whether the orchestrator joins the subnet, None when nothing is said."""
    subnet = top.child("subnet", _SUBNET)
    if subnet is None:
        return None
    if subnet.find("join") is None:
        subnet.error("join", "subnet needs `join`", "write `subnet: {join: true}`")
    return bool(subnet.boolean("join"))


def read_contracts(top: Fields) -> dict[str, ContractSpec]:
    """Return the contracts by name."""
    found = {}
    for name, mark, node in top.names("contracts"):
        path = join("contracts", name)
        contract = fields(top.context, _CONTRACT, node, path, mark)
        if contract is None:
            continue
        found[name] = ContractSpec(
            did=_did(contract, "did", "the contract's DID, beginning did:"),
            host=_did(contract, "host"),
            provider=contract.text("provider"),
            requestor=contract.text("requestor"),
        )
    return found


def _did(contract: Fields, key: str, required: str = "") -> str:
    text = contract.text(key, required=required)
    if text and not text.startswith("did:"):
        contract.error(key, f"{text[:60]!r} is no DID", "a DID begins with did:")
    return text


def one_version(context: Context, node: Tree | None) -> None:
    """Check the root's `version`: V1 is the only one."""
    if node is None or (isinstance(node, Scalar) and (node.value is None or node.text == "V1")):
        return
    text = node.text if isinstance(node, Scalar) else ""
    if text.lower() in ("v1", "1", "ensemblev1", "ensemble v1"):
        context.report.warn("version", node.mark, f"{text} is an older form", 'write `version: "V1"`')
    else:
        context.report.error("version", node.mark, "unknown version", 'write `version: "V1"`')

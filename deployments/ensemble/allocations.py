"""One allocation: what runs, with which resources, and how it is kept alive."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployments.ensemble.execution import read_execution
from deployments.ensemble.fields import Context, Fields, Shape, fields
from deployments.ensemble.healthcheck import read_healthcheck
from deployments.ensemble.lifetime import read_max_runtime, read_ready_when, read_restart, read_retry
from deployments.ensemble.model import (
    ALLOCATION_RECOVERIES,
    ALLOCATION_TYPES,
    EXECUTORS,
    AllocationSpec,
    Execution,
    KeySpec,
    ResourceSpec,
)
from deployments.ensemble.names import LABEL, is_host_name
from deployments.ensemble.problems import Mark, join, suggest
from deployments.ensemble.resources import read_resources
from deployments.ensemble.tree import Scalar, Tree
from deployments.ensemble.volumes import read_volumes

ALLOCATION = Shape(
    "an allocation",
    frozenset(
        {
            "executor",
            "type",
            "resources",
            "execution",
            "dns_name",
            "keys",
            "provision",
            "healthcheck",
            "volume",
            "volumes",
            "failure_recovery",
            "depends_on",
            "restart",
            "retry",
            "max_runtime",
            "ready_when",
        }
    ),
    {"dnsname": "dns_name", "health_check": "healthcheck"},
)
_KEY = Shape("a key", frozenset({"type", "file", "dest"}))
_KEYS = ("ssh", "gpg")


@dataclass(frozen=True, slots=True)
class Roots:
    """What allocations may refer to in the root."""

    resources: dict[str, Tree] = field(default_factory=dict)
    volumes: dict[str, Tree] = field(default_factory=dict)
    scripts: frozenset[str] = frozenset()
    keys: dict[str, str] = field(default_factory=dict)


def read_allocation(
    context: Context, name: str, node: Tree, mark: Mark, roots: Roots
) -> AllocationSpec | None:
    """Return the allocation `name`, None when it is no map."""
    path = join("allocations", name)
    if not LABEL.fullmatch(name):
        hint = "letters, digits and inner hyphens, at most 63"
        if is_host_name(name):
            hint = "no dots: ids are written node.allocation; use `dns_name` for a name with dots"
        context.report.error(path, mark, f"{name[:80]!r} is no name for an allocation", hint)
    top = fields(context, ALLOCATION, node, path, mark)
    if top is None:
        return None
    executor = _executor(top)
    resources = top.find("resources", required="write `resources: {cpu: .., ram: .., disk: ..}`")
    dns_name = name
    if top.find("dns_name") is not None:
        dns_name = top.text("dns_name")
        if dns_name and not is_host_name(dns_name):
            top.error(
                "dns_name",
                f"{dns_name[:80]!r} is no host name",
                "labels of letters, digits and inner hyphens, joined by dots",
            )
    execution = read_execution(top, executor)
    kind = top.choice("type", ALLOCATION_TYPES, "", required="service (runs on) or task (runs once)")
    return AllocationSpec(
        name=name,
        type=kind,
        executor=executor,
        resources=ResourceSpec()
        if resources is None
        else read_resources(
            context, resources, join(path, "resources"), top.node.mark_of("resources"), roots.resources
        ),
        execution=execution,
        dns_name=dns_name,
        volumes=read_volumes(top, roots.volumes),
        healthcheck=read_healthcheck(top, name=name, dns_name=dns_name, executor=executor),
        failure_recovery=top.choice("failure_recovery", ALLOCATION_RECOVERIES, _recovery(execution)),
        depends_on=top.texts("depends_on", single="write `depends_on: [NAME]`"),
        provision=_provision(top, roots),
        keys=_keys(top, roots),
        restart=read_restart(top),
        retry=read_retry(top, kind),
        max_runtime_ns=read_max_runtime(top),
        ready_when=read_ready_when(top, kind),
    )


def _recovery(execution: Execution) -> str:
    """Return what docker's word for restarting means here, where no engine restarts anything by itself."""
    return "stay_down" if execution.params.get("restart_policy", "no") == "no" else "one_for_one"


def _executor(top: Fields) -> str:
    node = top.items.get("executor")
    # `null` names an executor here, though YAML reads it as nothing.
    if isinstance(node, Scalar) and node.text == "null":
        return "null"
    return top.choice("executor", EXECUTORS, "", required=f"one of: {', '.join(EXECUTORS)}")


def _provision(top: Fields, roots: Roots) -> tuple[str, ...]:
    names = []
    for path, item in top.rows("provision"):
        if isinstance(item, Scalar) and item.text in roots.scripts:
            names.append(item.text)
        else:
            shown = item.text if isinstance(item, Scalar) else ""
            top.report.error(
                path,
                item.mark,
                f"no script {shown[:60]!r} in the root's `scripts`",
                suggest(shown, roots.scripts) or "define it there: `scripts: {NAME: |...}`",
            )
    return tuple(names)


def _keys(top: Fields, roots: Roots) -> tuple[KeySpec, ...]:
    found = []
    for path, item in top.rows("keys"):
        if isinstance(item, Scalar) and isinstance(item.value, str):
            if item.text not in roots.keys:
                hint = suggest(item.text, roots.keys) or "write `- {type: ssh, file: ..}`"
                top.report.error(path, item.mark, f"no key {item.text[:60]!r} in the root's `keys`", hint)
                continue
            top.report.warn(
                path, item.mark, "a key's name is an older form", "write `- {type: ssh, file: ..}`"
            )
            found.append(KeySpec("ssh", roots.keys[item.text]))
            continue
        key = fields(top.context, _KEY, item, path)
        if key is None:
            continue
        kind = key.choice("type", _KEYS, "", required=f"one of: {', '.join(_KEYS)}")
        hint = "where it goes in the allocation" if kind == "gpg" else ""
        found.append(
            KeySpec(
                kind,
                key.text("file", required="the key, or the path of its file"),
                key.text("dest", required=hint),
            )
        )
    return tuple(found)

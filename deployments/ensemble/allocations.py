"""One allocation: what runs, with which resources, and how it is kept alive."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployments.ensemble import units
from deployments.ensemble.execution import read_execution
from deployments.ensemble.fields import Context, Fields, Shape, fields
from deployments.ensemble.model import (
    ALLOCATION_RECOVERIES,
    ALLOCATION_TYPES,
    EXECUTORS,
    AllocationSpec,
    HealthcheckSpec,
    KeySpec,
    ResourceSpec,
)
from deployments.ensemble.names import LABEL, is_host_name
from deployments.ensemble.problems import Mark, join, suggest
from deployments.ensemble.resources import read_resources
from deployments.ensemble.tree import Scalar, Sequence, Tree
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
        }
    ),
    {"dnsname": "dns_name", "health_check": "healthcheck"},
)
_HEALTHCHECK = Shape("healthcheck", frozenset({"type", "exec", "endpoint", "response", "interval"}))
_RESPONSE = Shape("response", frozenset({"type", "value"}))
_KEY = Shape("a key", frozenset({"type", "file", "dest"}))
_CHECKS = ("command", "http")
_KEYS = ("ssh", "gpg")
# A bare interval below this many nanoseconds (1 ms) was surely meant in another unit.
_LEAST_BARE_NS = 1_000_000


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
    return AllocationSpec(
        name=name,
        type=top.choice("type", ALLOCATION_TYPES, "", required="service (runs on) or task (runs once)"),
        executor=executor,
        resources=ResourceSpec()
        if resources is None
        else read_resources(
            context, resources, join(path, "resources"), top.node.mark_of("resources"), roots.resources
        ),
        execution=read_execution(top, executor),
        dns_name=dns_name,
        volumes=read_volumes(top, roots.volumes),
        healthcheck=_healthcheck(top),
        failure_recovery=top.choice("failure_recovery", ALLOCATION_RECOVERIES, "stay_down"),
        depends_on=top.texts("depends_on", single="write `depends_on: [NAME]`"),
        provision=_provision(top, roots),
        keys=_keys(top, roots),
    )


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


def _healthcheck(top: Fields) -> HealthcheckSpec | None:
    check = top.child("healthcheck", _HEALTHCHECK)
    if check is None:
        return None
    kind = check.choice("type", _CHECKS, "", required=f"one of: {', '.join(_CHECKS)}")
    words = check.texts("exec", required='such as ["curl", "-s", "localhost"]' if kind == "command" else "")
    given = check.find("exec")
    if kind == "command" and isinstance(given, Sequence) and not given.items:
        check.error("exec", "must hold the command", 'such as ["curl", "-s", "localhost"]')
    response = check.child("response", _RESPONSE)
    return HealthcheckSpec(
        type=kind,
        exec=words,
        endpoint=check.text("endpoint", required="the URL to get" if kind == "http" else ""),
        response_type=response.text("type") if response else "",
        response_value=response.text("value", may_be_empty=True) if response else "",
        interval_ns=_interval(check),
    )


def _interval(check: Fields) -> int:
    node = check.find("interval")
    if node is None:
        return 0
    hint = "a duration such as 30s or 1m30s"
    if isinstance(node, Scalar) and isinstance(node.value, str):
        try:
            interval = units.duration_ns(node.text)
        except units.UnitFault as fault:
            check.error("interval", str(fault), hint)
            return 0
        if interval <= 0:
            check.error("interval", "interval must be positive", hint)
        return interval
    least = 1 if check.context.canonical else _LEAST_BARE_NS
    value = check.number("interval")
    if value is not None and not least <= value <= units.MAX_INTEGER:
        check.error("interval", f"{value} alone means nanoseconds, which is too short or too long", hint)
        return 0
    return int(value or 0)


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

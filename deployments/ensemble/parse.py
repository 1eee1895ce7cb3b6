"""Text of an ensemble -> a typed ensemble, or every error in it at once.

The steps: decode and load (bounded), normalise older forms, read each member, check what concerns several.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from typing import Any

from capabilities.numbers import NUMBERS, Numbers
from capabilities.refusal import Reason, Refusal
from deployments.ensemble import cross, extras
from deployments.ensemble.allocations import Roots, read_allocation
from deployments.ensemble.fields import Context, Fields, Shape
from deployments.ensemble.lifetime import read_max_runtime
from deployments.ensemble.load import load
from deployments.ensemble.model import ESCALATIONS, Ensemble
from deployments.ensemble.nodes import read_node
from deployments.ensemble.problems import Mark, Problem, Report, TooMuch
from deployments.ensemble.tree import Mapping, Tree, grow, kind
from deployments.ensemble.volumes import named

ROOT = Shape(
    "an ensemble",
    frozenset(
        {
            "version",
            "escalation_strategy",
            "allocations",
            "nodes",
            "edges",
            "supervisor",
            "keys",
            "scripts",
            "subnet",
            "exclude_peers",
            "metadata",
            "contracts",
            "resources",
            "volumes",
            "max_runtime",
        }
    ),
    quiet={"edge_constraints": "edges"},
    unknown="ignored (fine when it only holds anchors)",
    member="root key",
)
_ALLOCATIONS = "write `allocations:` with at least one allocation under it"
_NODES = "write `nodes: {node1: {allocations: [NAME]}}`"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The outcome: an ensemble exactly when there are no errors."""

    ensemble: Ensemble | None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return `{valid, errors[], warnings[]}`."""
        return {
            "valid": self.ensemble is not None,
            "errors": [problem.document() for problem in self.errors],
            "warnings": [problem.document() for problem in self.warnings],
        }

    def required(self) -> Ensemble:
        """Return the ensemble. Raises the Refusal `invalid_ensemble` with every error."""
        if self.ensemble is not None:
            return self.ensemble
        first = self.errors[0]
        more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
        where = f"line {first.line}: " if first.line else ""
        raise Refusal(
            "invalid_ensemble",
            f"the ensemble is invalid: {where}{first.path + ': ' if first.path else ''}{first.message}{more}",
            status=422,
            hint=first.hint or "./dms validate FILE shows every error with its line",
            reasons=tuple(
                Reason(
                    "ensemble",
                    f"line {error.line}: {error.message}" if error.line else error.message,
                    path=error.path,
                    hint=error.hint,
                )
                for error in self.errors
            ),
            problems=[error.document() for error in self.errors],
        )


def parse(text: str | bytes, *, filename: str = "", numbers: Numbers = NUMBERS) -> Parsed:
    """Return the ensemble in `text` (YAML or JSON), or what is wrong with it; never raises for any text.

    `filename` is put before each path of a message, for callers that read several files.
    """
    report = Report()
    root = load(text, report, numbers=numbers)
    parsed = _parsed(root, report, numbers)
    return _with_name(parsed, filename) if filename else parsed


def parse_document(document: MappingABC[str, Any], *, numbers: Numbers = NUMBERS) -> Parsed:
    """Return the ensemble of V1 JSON (`{"V1": {..}}`) from outside, or what is wrong with it."""
    report = Report()
    try:
        root = grow(document)
    except (ValueError, RecursionError) as fault:
        report.error("", Mark(), f"not a V1 document: {fault}", "give the V1 JSON of an ensemble")
        return Parsed(None, tuple(report.errors))
    if root.depth > numbers.ensemble_max_depth or root.units > numbers.ensemble_max_nodes:
        report.error("", Mark(), "the document is too deep or too large", "split the ensemble")
        return Parsed(None, tuple(report.errors))
    return _parsed(root, report, numbers)


def _with_name(parsed: Parsed, filename: str) -> Parsed:
    def renamed(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        return tuple(
            Problem(f"{filename}:{item.path}", item.line, item.column, item.message, item.hint)
            for item in problems
        )

    return Parsed(parsed.ensemble, renamed(parsed.errors), renamed(parsed.warnings))


def _parsed(root: Tree | None, report: Report, numbers: Numbers) -> Parsed:
    ensemble = None
    if isinstance(root, Mapping):
        try:
            ensemble = _read(root, report, numbers)
        except TooMuch as fault:
            report.errors[:] = [fault.problem]
    elif not report.errors:
        what = "the document is empty" if root is None else f"an ensemble is a map, not {kind(root)}"
        report.error("", root.mark if root else Mark(1, 1), what, _ALLOCATIONS)
    report.errors.sort(key=lambda problem: (problem.line, problem.column))
    report.warnings.sort(key=lambda problem: (problem.line, problem.column))
    return Parsed(None if report.errors else ensemble, tuple(report.errors), tuple(report.warnings))


def _lacks(top: Fields, key: str) -> bool:
    node = top.find(key)
    return node is None or (isinstance(node, Mapping) and not node.items)


def _read(root: Mapping, report: Report, numbers: Numbers) -> Ensemble:
    inner = root.items.get("V1")
    canonical = isinstance(inner, Mapping) and "allocations" not in root.items
    if canonical and isinstance(inner, Mapping):
        root = inner
    elif isinstance(wrapped := root.items.get("ensembleV1"), Mapping) and len(root.items) == 1:
        report.warn("ensembleV1", root.mark, "`ensembleV1` around the members is an older form", "remove it")
        root = wrapped
    top = Fields(Context(report, canonical, numbers.ensemble_max_nodes), ROOT, root, "", root.mark)
    extras.one_version(top.context, top.items.get("version"))
    names = top.names("allocations")
    if len(names) > numbers.ensemble_max_allocations:
        top.error(
            "allocations",
            f"{len(names)} allocations are more than {numbers.ensemble_max_allocations}",
            "split the ensemble",
        )
        return Ensemble()
    if _lacks(top, "allocations"):
        top.error("allocations", "an ensemble needs at least one allocation", _ALLOCATIONS)
    scripts = extras.read_scripts(top)
    keys = extras.read_texts(top, "keys")
    templates = named(top.find("resources"))
    roots = Roots(templates, named(top.find("volumes")), frozenset(scripts), keys)
    allocations = {
        name: spec
        for name, mark, node in names
        if (spec := read_allocation(top.context, name, node, mark, roots)) is not None
    }
    reach = (numbers.port_range_from, numbers.port_range_to)
    nodes = {
        name: held
        for name, mark, node in top.names("nodes")
        if (held := read_node(top.context, name, node, mark, reach)) is not None
    }
    if _lacks(top, "nodes"):
        top.error("nodes", "an ensemble needs at least one node", _NODES)
    ensemble = Ensemble(
        allocations=allocations,
        nodes=nodes,
        edges=extras.read_edges(top, nodes),
        supervisor=extras.read_supervisor(top, allocations),
        scripts=scripts,
        keys=keys,
        subnet_join=extras.read_subnet(top),
        exclude_peers=top.texts("exclude_peers"),
        metadata=extras.read_texts(top, "metadata"),
        contracts=extras.read_contracts(top),
        escalation_strategy=top.choice("escalation_strategy", ESCALATIONS, ""),
        max_runtime_ns=read_max_runtime(top),
    )
    cross.check(ensemble, top)
    return ensemble

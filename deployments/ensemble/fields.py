"""Reading the members of one map: each reader checks one member, reports what is wrong and goes on.

A reader returns a default where the member is missing or wrong, so that every error of a document is found in
one pass; the result is used only when nothing was reported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from deployments.ensemble import units
from deployments.ensemble.problems import Mark, Problem, Report, TooMuch, join, suggest
from deployments.ensemble.tree import UNFILLED, Scalar, Sequence, Tree, kind
from deployments.ensemble.tree import Mapping as MapNode


@dataclass(frozen=True, slots=True)
class Shape:
    """The members that a map may have.

    `older` leads a former name to the modern one with a warning, `quiet` an equally good name without one.
    """

    what: str
    known: frozenset[str]
    older: Mapping[str, str] = field(default_factory=dict)
    quiet: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    unknown: str = "ignored"
    member: str = "key"


@dataclass(slots=True)
class Context:
    """What all readers of one document share.

    `canonical`: the document is V1 JSON, where a bare number is in the base unit and scripts are base64.
    `budget`: how many members templates may still copy.
    """

    report: Report
    canonical: bool = False
    budget: int = 500_000

    def spend(self, units: int, path: str, mark: Mark) -> None:
        """Pay for `units` values that a template puts in place. Raises TooMuch."""
        self.budget -= units
        if self.budget < 0:
            message = "the templates expand to too many values"
            raise TooMuch(Problem(path, mark.line, mark.column, message, "use smaller or fewer templates"))


class Fields:
    """The members of one map, checked for unknown and older names."""

    __slots__ = ("context", "items", "mark", "node", "path", "report", "shape")

    def __init__(self, context: Context, shape: Shape, node: MapNode, path: str, mark: Mark) -> None:
        self.context = context
        self.report = context.report
        self.shape = shape
        self.node = node
        self.path = path
        self.mark = mark
        self.items = node.items
        if not node.items.keys() <= shape.known:
            self.items = dict(node.items)
            self._rename()

    def _rename(self) -> None:
        strange = self.node.items.keys() - self.shape.known
        if self.report.many_warnings:
            strange &= self.shape.older.keys() | self.shape.quiet.keys()
        for key in sorted(strange, key=lambda name: self.node.mark_of(name).line):
            path, mark = join(self.path, key), self.node.mark_of(key)
            if (name := self.shape.quiet.get(key)) is not None and name not in self.node.items:
                self.items[name] = self.items.pop(key)
                continue
            modern = self.shape.older.get(key) or name
            if modern is None:
                hint = self.shape.hints.get(key) or suggest(key, self.shape.known)
                self.report.warn(
                    path,
                    mark,
                    f"unknown {self.shape.member} `{key[:60]}`; it is {self.shape.unknown}",
                    hint,
                )
            elif modern in self.node.items:
                self.report.warn(
                    path,
                    mark,
                    f"`{key}` is an older form of `{modern}`, which is there too; it is ignored",
                    f"remove `{key}`",
                )
            else:
                self.items[modern] = self.items.pop(key)
                self.report.warn(path, mark, f"`{key}` is an older form", f"write `{modern}`")

    def error(self, key: str, message: str, hint: str = "") -> None:
        """Report an error of member `key`, at its value's place."""
        node = self.items.get(key)
        mark = self.mark if node is None else node.mark
        self.report.error(join(self.path, key), mark, message, hint)

    def find(self, key: str, *, required: str = "") -> Tree | None:
        """Return the member, None when it is missing or null; with `required` (a hint) that is an error."""
        node = self.items.get(key)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            if required:
                self.error(key, f"{self.shape.what} needs `{key}`", required)
            return None
        if isinstance(node, Scalar) and node.value is UNFILLED:
            return None
        return node

    def text(self, key: str, *, required: str = "", may_be_empty: bool = False) -> str:
        """Return a text member; a bare number or truth value counts as what was written."""
        node = self.find(key, required=required)
        if node is None:
            return ""
        if not isinstance(node, Scalar):
            self.error(key, f"must be text, not {kind(node)}", required)
            return ""
        if not node.text.strip() and not may_be_empty:
            self.error(key, "must not be empty", required or "leave the member out instead")
        return node.text

    def choice(self, key: str, words: Collection[str], default: str, *, required: str = "") -> str:
        """Return a member that is one of `words`."""
        node = self.find(key, required=required)
        if node is None:
            return default
        if not isinstance(node, Scalar):
            self.error(key, f"must be text, not {kind(node)}", f"one of: {', '.join(words)}")
            return default
        if node.text in words:
            return node.text
        shown = repr(node.text[:60]) if node.text else "empty text"
        self.error(key, f"must be one of {', '.join(words)}, not {shown}", suggest(node.text, words))
        return default

    def boolean(self, key: str) -> bool | None:
        """Return a truth value, None when the member is missing."""
        node = self.find(key)
        if node is None:
            return None
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool):
            return value
        if isinstance(node, Scalar) and node.text.lower() in ("true", "false"):
            self.report.warn(join(self.path, key), node.mark, "a truth value in quotes", "write it bare")
            return node.text.lower() == "true"
        self.error(key, f"must be true or false, not {kind(node)}", "YAML 1.2: `yes` and `on` are text")
        return None

    def integer(self, key: str, low: int, high: int, *, required: str = "", default: int = 0) -> int:
        """Return a whole number between `low` and `high`."""
        node = self.find(key, required=required)
        value = self._number(key, node) if node is not None else None
        if value is None:
            return default
        if value != value.to_integral_value() or not low <= value <= high:
            self.error(key, f"must be a whole number from {low} to {high}, not {_text(node)}", required)
            return default
        return int(value)

    def number(self, key: str, *, required: str = "") -> Decimal | None:
        """Return a number, None when it is missing or wrong."""
        node = self.find(key, required=required)
        return None if node is None else self._number(key, node)

    def _number(self, key: str, node: Tree) -> Decimal | None:
        if isinstance(node, Scalar) and not isinstance(node.value, bool):
            try:
                value = units.number(str(node.value) if isinstance(node.value, int) else node.text)
            except units.UnitFault as fault:
                self.error(key, str(fault), "give a plain number")
                return None
            if isinstance(node.value, str):
                self.report.warn(
                    join(self.path, key), node.mark, "a number in text", f"write {node.text.strip()} bare"
                )
            return value
        self.error(key, f"must be a valid number, not {kind(node)}", "give a plain number")
        return None

    def quantity(self, key: str, known: dict[str, int], default: int, *, required: str = "") -> int | None:
        """Return a positive amount in the base unit; a bare number is in units of `default`."""
        node = self.find(key, required=required)
        if node is None:
            return None
        if not isinstance(node, Scalar) or isinstance(node.value, bool):
            self.error(key, f"must be a valid number, not {kind(node)}", required)
            return None
        text = str(node.value) if isinstance(node.value, int) else node.text
        try:
            amount = units.quantity(text, known, 1 if self.context.canonical else default)
        except units.UnitFault as fault:
            self.error(key, str(fault), required)
            return None
        if isinstance(node.value, str) and not any(letter.isalpha() for letter in node.text):
            self.report.warn(
                join(self.path, key), node.mark, "a number in text", f"write {node.text.strip()} bare"
            )
        return amount

    def rows(
        self, key: str, *, single: str = "", required: str = "", hint: str = ""
    ) -> list[tuple[str, Tree]]:
        """Return the items of a list with their paths.

        With `single` (the modern form) one map or text in place of the list is accepted with a warning.
        """
        node = self.find(key, required=required)
        if node is None:
            return []
        path = join(self.path, key)
        if isinstance(node, Sequence):
            return [(join(path, index), item) for index, item in enumerate(node.items)]
        if single:
            self.report.warn(path, node.mark, f"`{key}` is {kind(node)}, an older form", single)
            return [(path, node)]
        self.error(
            key, f"must be a list, not {kind(node)}", hint or required or "write `- ` before each item"
        )
        return []

    def texts(self, key: str, *, single: str = "", required: str = "") -> tuple[str, ...]:
        """Return a list of non-empty texts."""
        found = []
        for path, item in self.rows(key, single=single, required=required):
            text = text_of(self.context, item, path)
            if text:
                found.append(text)
        return tuple(found)

    def names(self, key: str) -> list[tuple[str, Mark, Tree]]:
        """Return name, place and value of a map whose keys are free names."""
        node = self.find(key)
        if node is None:
            return []
        if not isinstance(node, MapNode):
            self.error(key, f"must be a map, not {kind(node)}", "write `name: value` lines")
            return []
        return [(name, node.mark_of(name), value) for name, value in node.items.items()]

    def child(self, key: str, shape: Shape, *, required: str = "") -> Fields | None:
        """Return the readers of a member that is a map."""
        node = self.find(key, required=required)
        if node is None:
            return None
        return fields(self.context, shape, node, join(self.path, key), self.node.mark_of(key), required)


def fields(
    context: Context, shape: Shape, node: Tree, path: str, mark: Mark | None = None, hint: str = ""
) -> Fields | None:
    """Return the readers of `node`, or None and an error when it is no map."""
    if isinstance(node, MapNode):
        return Fields(context, shape, node, path, mark or node.mark)
    if isinstance(node, Scalar) and node.value is UNFILLED:
        return None
    context.report.error(
        path,
        node.mark,
        f"{shape.what} must be a map, not {kind(node)}",
        hint or f"members: {', '.join(sorted(shape.known)[:12])}",
    )
    return None


def text_of(context: Context, node: Tree, path: str, *, may_be_empty: bool = False) -> str:
    """Return a list's item as text; a number or truth value is accepted with a warning."""
    if not isinstance(node, Scalar) or node.value is None:
        context.report.error(path, node.mark, f"must be text, not {kind(node)}", "put it in quotes")
        return ""
    if node.value is UNFILLED:
        return ""
    if not isinstance(node.value, str):
        context.report.warn(path, node.mark, f"{kind(node)} is taken as text", f'write "{node.text[:40]}"')
    elif not node.text and not may_be_empty:
        context.report.error(path, node.mark, "must not be empty", "remove the item")
    return node.text


def _text(node: Any) -> str:
    return node.text[:40] if isinstance(node, Scalar) else ""

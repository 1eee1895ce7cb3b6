"""The generic tree of a document: scalars, sequences and mappings that know where they stand in the text."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from deployments.ensemble.problems import Mark


class Unfilled:
    """The value of a scalar that was reported already (a mark that nobody filled in): checks skip it."""


UNFILLED: Final = Unfilled()
Value = None | bool | int | Decimal | str | Unfilled


@dataclass(eq=False, slots=True)
class Scalar:
    """A single value: `text` as written, `value` as YAML 1.2 resolves it."""

    text: str
    value: Value
    mark: Mark
    units: int = 1
    depth: int = 0


@dataclass(eq=False, slots=True)
class Sequence:
    """A list. `units` is its size when every alias is expanded, `depth` how deep it nests."""

    items: list[Tree]
    mark: Mark
    units: int = 1
    depth: int = 1


@dataclass(eq=False, slots=True)
class Mapping:
    """A map with text keys; `marks` holds the place of each key."""

    items: dict[str, Tree]
    mark: Mark
    marks: dict[str, Mark] = field(default_factory=dict)
    units: int = 1
    depth: int = 1

    def mark_of(self, key: str) -> Mark:
        """Return where `key` is written, or where the map begins."""
        return self.marks.get(key, self.mark)


Tree = Scalar | Sequence | Mapping


def kind(node: Tree) -> str:
    """Return what a person calls the node: a map, a list, a number, ..."""
    if isinstance(node, Mapping):
        return "a map"
    if isinstance(node, Sequence):
        return "a list"
    if node.value is None:
        return "empty"
    if isinstance(node.value, bool):
        return f"the truth value {node.text[:40]}"
    if isinstance(node.value, int | Decimal):
        return f"the number {node.text[:40]}"
    return "empty text" if not node.text else "text"


def plain(node: Tree) -> Any:
    """Return the node as JSON values: whole numbers as int, others as float."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items.items()}
    if isinstance(node, Sequence):
        return [plain(value) for value in node.items]
    if isinstance(node.value, Decimal):
        return float(node.value)
    return None if isinstance(node.value, Unfilled) else node.value


def grow(value: Any, mark: Mark | None = None) -> Tree:
    """Return JSON values as a tree without places. ValueError on what JSON cannot hold (NaN, other types)."""
    mark = mark or Mark()
    if isinstance(value, MappingABC):
        children = {str(key): grow(item, mark) for key, item in value.items()}
        units = 1 + sum(child.units for child in children.values())
        return Mapping(children, mark, {}, units, 1 + max((c.depth for c in children.values()), default=0))
    if isinstance(value, list | tuple):
        items = [grow(item, mark) for item in value]
        units = 1 + sum(child.units for child in items)
        return Sequence(items, mark, units, 1 + max((child.depth for child in items), default=0))
    if value is None or isinstance(value, bool):
        return Scalar({None: "null", True: "true", False: "false"}[value], value, mark)
    if isinstance(value, int | str):
        return Scalar(str(value), value, mark, 1 + len(str(value)) // 64)
    if isinstance(value, float):
        number = Decimal(repr(value))
        if not number.is_finite():
            raise ValueError(f"{value} is not a finite number")
        return Scalar(repr(value), number, mark)
    raise ValueError(f"{type(value).__name__} has no place in an ensemble")

"""`$NAME` and `${NAME:-default}` of compose files, replaced as compose does it."""

from __future__ import annotations

import re
from collections.abc import Mapping as Variables

from deployments.ensemble.problems import join
from deployments.ensemble.scalars import NotFinite, resolve
from deployments.ensemble.tree import Mapping, Scalar, Sequence, Tree
from deployments.translate.notes import Notes

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
MAX_DEPTH = 16
MAX_CHARACTERS = 65_536


class Unclear(ValueError):
    """The expression is none, or the file demands a value that is missing."""


def interpolate(text: str, variables: Variables[str, str], missing: set[str], depth: int = 0) -> str:
    """Return `text` with its variables replaced; unset ones are empty and are put into `missing`. Raises Unclear."""
    if depth > MAX_DEPTH:
        raise Unclear("defaults within defaults go too deep")
    pieces: list[str] = []
    position = 0
    while (start := text.find("$", position)) >= 0:
        pieces.append(text[position:start])
        if text.startswith("$$", start):
            pieces.append("$")
            position = start + 2
        elif text.startswith("${", start):
            end = _closing(text, start + 2)
            pieces.append(_value(text[start + 2 : end], variables, missing, depth))
            position = end + 1
        elif found := _NAME.match(text, start + 1):
            pieces.append(_plain(found[0], variables, missing))
            position = found.end()
        else:
            raise Unclear(f"a lone $ in {text[:60]!r}: write $$ for a dollar sign")
    done = "".join([*pieces, text[position:]])
    if len(done) > MAX_CHARACTERS:
        raise Unclear("the value is too long once its variables are replaced")
    return done


def _closing(text: str, position: int) -> int:
    deep = 1
    while position < len(text):
        if text.startswith("${", position):
            deep += 1
            position += 1
        elif text[position] == "}":
            deep -= 1
            if not deep:
                return position
        position += 1
    raise Unclear(f"${{ without its }} in {text[:60]!r}")


def _value(body: str, variables: Variables[str, str], missing: set[str], depth: int) -> str:
    found = _NAME.match(body)
    if found is None:
        raise Unclear(f"${{{body[:60]}}} names no variable")
    name, rest = found[0], body[found.end() :]
    if not rest:
        return _plain(name, variables, missing)
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise Unclear(f"${{{body[:60]}}} is no expression of compose")
    value = variables.get(name)
    there = bool(value) if operator[0].startswith(":") else value is not None
    argument = rest[operator.end() :]
    if operator[0].endswith("+"):
        return interpolate(argument, variables, missing, depth + 1) if there else ""
    if there:
        return value or ""
    if operator[0].endswith("?"):
        raise Unclear(f"the variable {name} is required: {argument or 'it has no value'}")
    return interpolate(argument, variables, missing, depth + 1)


def _plain(name: str, variables: Variables[str, str], missing: set[str]) -> str:
    if name not in variables:
        missing.add(name)
    return variables.get(name, "")


def interpolated(node: Tree, path: str, variables: Variables[str, str], notes: Notes) -> Tree:
    """Return the tree with the variables of every value replaced; keys stay."""
    if isinstance(node, Mapping):
        items = {
            key: interpolated(item, join(path, key), variables, notes) for key, item in node.items.items()
        }
        return Mapping(items, node.mark, node.marks, node.units, node.depth)
    if isinstance(node, Sequence):
        rows = [
            interpolated(item, join(path, index), variables, notes) for index, item in enumerate(node.items)
        ]
        return Sequence(rows, node.mark, node.units, node.depth)
    if "$" not in node.text:
        return node
    missing: set[str] = set()
    try:
        text = interpolate(node.text, variables, missing)
    except Unclear as fault:
        notes.refuse(path, node.mark, str(fault), "set it in the environment or in .env beside the file")
        return node
    for name in sorted(missing):
        notes.lost(path, node.mark, f"the variable {name} is not set; it is empty here", f"set {name}")
    # A bare `${PORT}` may stand for a number, which the readers take from the text.
    try:
        value = resolve(text)
    except NotFinite:
        value = text
    return Scalar(text, value if value is not None else "", node.mark, node.units)

"""Reads the symbols of the mission's own document: constants, variables, functions, types, fields and methods."""

from __future__ import annotations

import re
from pathlib import Path

_NAMED = re.compile(r"^\s+([A-Z]\w+)\s+=\s")
_FUNCTION = re.compile(r"^func (?:\(\w+ \*?(\w+)\) )?(\w+)\(")
_TYPE = re.compile(r"^type (\w+) (struct|interface)\s*\{(\})?")
_FIELD = re.compile(r"^\s+(\w+)\s+[\w\[\]\*.]+")
_METHOD = re.compile(r"^\s+(\w+)\(")


def symbols(text: str) -> list[str]:
    """Return every symbol once, in order; members as `Type.member`."""
    found: dict[str, None] = {}
    inside = ""
    for line in text.splitlines():
        if inside:
            if line.startswith("}"):
                inside = ""
            elif not line.lstrip().startswith("//"):
                member = _METHOD.match(line) or _FIELD.match(line)
                if member:
                    found[f"{inside}.{member[1]}"] = None
            continue
        if kind := _TYPE.match(line):
            found[kind[1]] = None
            inside = "" if kind[3] else kind[1]
        elif function := _FUNCTION.match(line):
            found[".".join(part for part in function.groups() if part)] = None
        elif constant := _NAMED.match(line):
            found[constant[1]] = None
    return list(found)


def read(folder: Path) -> list[str]:
    """Return the symbols of every text of the folder."""
    return [symbol for path in sorted(folder.glob("*.txt")) for symbol in symbols(path.read_text())]

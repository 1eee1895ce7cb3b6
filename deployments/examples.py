"""The examples to start from: the files of `examples/`, each with the first comment as its description."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """One ensemble that works."""

    name: str
    about: str
    source: str


def about(source: str) -> str:
    """Return the first paragraph of the comment at the top of a file, on one line."""
    lines = []
    for line in source.splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if not text:
            break
        lines.append(text)
    return " ".join(lines).strip()


@cache
def examples() -> tuple[Example, ...]:
    """Return the examples by name; read once a process."""
    if not FOLDER.is_dir():
        return ()
    return tuple(
        Example(file.stem, about(text), text)
        for file in sorted(FOLDER.glob("*.yaml"))
        if (text := file.read_text(encoding="utf-8"))
    )

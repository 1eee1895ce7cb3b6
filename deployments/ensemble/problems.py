"""What is wrong or old-fashioned in an ensemble: a place, a message and what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

MAX_PROBLEMS = 200  # a file with more is refused for these; nobody reads the rest
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning. `line` and `column` count from 1 and are 0 where there is no text."""

    path: str
    line: int
    column: int
    message: str
    hint: str = ""

    def document(self) -> dict[str, str | int]:
        """Return it as the JSON object that the CLI, the API and the editor show."""
        return {
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text, counted from 1."""

    line: int = 0
    column: int = 0


class TooMuch(Exception):
    """Going on would cost more than the limits allow; `problem` is the only error then."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class Report:
    """Collects errors and warnings in the order of their discovery, bounded by MAX_PROBLEMS each."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, path: str, mark: Mark, message: str, hint: str = "") -> None:
        """Add an error; the ensemble is then refused."""
        _add(self.errors, path, mark, message, hint)

    @property
    def many_warnings(self) -> bool:
        """Whether further warnings would not be kept."""
        return len(self.warnings) > MAX_PROBLEMS

    def warn(self, path: str, mark: Mark, message: str, hint: str = "") -> None:
        """Add a warning; the ensemble is accepted all the same."""
        _add(self.warnings, path, mark, message, hint)


def _add(problems: list[Problem], path: str, mark: Mark, message: str, hint: str) -> None:
    if len(problems) < MAX_PROBLEMS:
        problems.append(Problem(path, mark.line, mark.column, message, hint))
    elif len(problems) == MAX_PROBLEMS:
        problems.append(Problem(path, mark.line, mark.column, "there are more; these are the first 200"))


def join(path: str, key: str | int) -> str:
    """Return `path` extended by a key or an index: `nodes.node1.ports[0]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _BARE_KEY.fullmatch(key):
        shown = key if len(key) <= 60 else f"{key[:57]}..."
        return f"{path}[{shown!r}]"
    return f"{path}.{key}" if path else key


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean ...?` when a known word is close, else the known words (up to 12)."""
    words = sorted(known)
    close = get_close_matches(word[:80].lower(), [name.lower() for name in words[:1000]], n=1, cutoff=0.6)
    if close:
        return f"did you mean {next(name for name in words if name.lower() == close[0])}?"
    if not words:
        return ""
    return f"known: {', '.join(words[:12])}{', ...' if len(words) > 12 else ''}"

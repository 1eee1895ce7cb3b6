"""What a translation has to say: errors, what is not carried over, what was assumed; each with its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deployments.ensemble.model import Ensemble
from deployments.ensemble.problems import Mark, Problem, join
from deployments.ensemble.tree import Mapping, Scalar, Sequence, Tree, Unfilled, kind

# Reads a file beside the compose file: its text, None when there is none that can be read.
Files = Callable[[str], str | None]


def no_files(name: str) -> str | None:
    """Read nothing: for text that came from nowhere."""
    return None


@dataclass(frozen=True, slots=True)
class Translation:
    """The outcome: `text` and `ensemble` exactly when there are no errors."""

    text: str | None
    ensemble: Ensemble | None
    errors: tuple[Problem, ...]
    not_carried: tuple[Problem, ...]
    assumed: tuple[Problem, ...]

    def document(self) -> dict[str, Any]:
        """Return what the command line prints under --json."""
        return {
            "translated": self.text is not None,
            "ensemble": self.text,
            "errors": [problem.document() for problem in self.errors],
            "not_carried": [problem.document() for problem in self.not_carried],
            "assumed": [problem.document() for problem in self.assumed],
        }


@dataclass(slots=True)
class Notes:
    """Collects in the order of discovery."""

    errors: list[Problem] = field(default_factory=list)
    not_carried: list[Problem] = field(default_factory=list)
    assumed: list[Problem] = field(default_factory=list)

    def refuse(self, path: str, mark: Mark, message: str, hint: str = "") -> None:
        """Nothing can be made of the file; say why."""
        _add(self.errors, Problem(path, mark.line, mark.column, message, hint))

    def lost(self, path: str, mark: Mark, message: str, hint: str = "") -> None:
        """Say that this is not carried over, or not as it was written."""
        _add(self.not_carried, Problem(path, mark.line, mark.column, message, hint))

    def assume(self, path: str, mark: Mark, message: str) -> None:
        """Say what stands where the file says nothing."""
        _add(self.assumed, Problem(path, mark.line, mark.column, message))


def _add(problems: list[Problem], problem: Problem) -> None:
    if problem not in problems[-8:]:
        problems.append(problem)


@dataclass(slots=True)
class Part:
    """A map of the compose file at a path; whatever is not taken from it is said to be lost."""

    notes: Notes
    path: str
    node: Mapping
    taken: set[str] = field(default_factory=set)

    def at(self, key: str | int) -> str:
        """Return the path of a member."""
        return join(self.path, key)

    def mark(self, key: str) -> Mark:
        """Return the place of a member."""
        return self.node.mark_of(key)

    def take(self, key: str) -> Tree | None:
        """Return a member, None when it is missing or empty."""
        self.taken.add(key)
        found = self.node.items.get(key)
        return None if isinstance(found, Scalar) and found.value is None else found

    def text(self, key: str) -> str:
        """Return a member's text, empty when it is missing or no single value."""
        node = self.take(key)
        if node is None:
            return ""
        if isinstance(node, Scalar):
            return node.text
        self.lost(key, f"{kind(node)} where one value is due")
        return ""

    def true(self, key: str) -> bool:
        """Say whether a member is switched on."""
        return self.text(key).lower() in ("true", "yes", "on", "1")

    def part(self, key: str) -> Part | None:
        """Return a member that is a map, None when it is missing or none."""
        node = self.take(key)
        if node is None:
            return None
        if isinstance(node, Mapping):
            return Part(self.notes, self.at(key), node)
        self.lost(key, f"{kind(node)} where a map is due")
        return None

    def rows(self, key: str) -> list[tuple[str, Tree]]:
        """Return the items of a list with their paths; one value counts as a list of one."""
        node = self.take(key)
        if node is None:
            return []
        if isinstance(node, Sequence):
            return [(join(self.at(key), index), item) for index, item in enumerate(node.items)]
        if isinstance(node, Scalar):
            return [(self.at(key), node)]
        self.lost(key, "a map where a list is due")
        return []

    def lost(self, key: str, message: str, hint: str = "") -> None:
        """Say that a member is not carried over."""
        self.notes.lost(self.at(key), self.mark(key), message, hint)

    def rest(self, *, why: dict[str, str] | None = None, silent: frozenset[str] = frozenset()) -> None:
        """Say of every member that was not taken that it is lost."""
        for key, node in self.node.items.items():
            if key in self.taken or key in silent or key.startswith("x-"):
                continue
            if isinstance(node, Scalar) and node.value is None:
                continue
            self.lost(key, (why or {}).get(key, "ensembles have no counterpart"))


def words(node: Tree) -> list[str] | None:
    """Return the texts of a list of single values, None when it is no such list."""
    if not isinstance(node, Sequence):
        return None
    found = [item.text for item in node.items if isinstance(item, Scalar)]
    return found if len(found) == len(node.items) else None


def is_empty(node: Tree | None) -> bool:
    """Say whether there is nothing."""
    return node is None or (
        isinstance(node, Scalar) and (node.value is None or isinstance(node.value, Unfilled))
    )

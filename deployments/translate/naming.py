"""Names: what is no name of an allocation is mended, and by which name others reach a service."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deployments.ensemble.names import LABEL, is_host_name
from deployments.ensemble.problems import Mark
from deployments.translate.notes import Notes

_UNFIT = re.compile(r"[^A-Za-z0-9-]+")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
MAX_LABEL = 63


class Names:
    """Gives every service a name of its own that the format takes."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self._taken: set[str] = set()

    def take(self, name: str, path: str, mark: Mark, suffix: str = "") -> str:
        """Return a free name for the service; says so when it differs."""
        base = _UNFIT.sub("-", name).strip("-") or "service"
        wanted = _cut(base, suffix) + suffix
        number = 2
        while wanted.lower() in self._taken:
            wanted = _cut(base, f"{suffix}-{number}") + f"{suffix}-{number}"
            number += 1
        self._taken.add(wanted.lower())
        assert LABEL.fullmatch(wanted)
        if wanted != name + suffix:
            self.notes.lost(path, mark, f"the name {name[:60]!r} is no host name: it is {wanted} here")
        return wanted


def _cut(base: str, suffix: str) -> str:
    return base[: MAX_LABEL - len(suffix)].rstrip("-") or "s"


def mentions(texts: Iterable[str]) -> set[str]:
    """Return every word of the texts that may be a host's name."""
    return {word.rstrip(".-").lower() for text in texts for word in _WORD.findall(text)}


def dns_name(candidates: list[tuple[str, str, Mark]], said: set[str], notes: Notes, default: str) -> str:
    """Return the one name by which others reach it: the first candidate that they mention, else the default.

    `candidates` are further names (container_name, hostname, aliases) with their places; those that are not
    taken are said to be lost.
    """
    chosen = default
    if default.lower() not in said:
        chosen = next(
            (name for name, _, _ in candidates if name.lower() in said and is_host_name(name)), default
        )
    for name, path, mark in candidates:
        if name.lower() != chosen.lower():
            notes.lost(path, mark, f"the name {name[:60]}: others reach it as {chosen} only")
    return chosen

"""Which services sit on one node: those that depend on each other, share a volume or talk to each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Groups:
    """Joins what belongs together."""

    def __init__(self, members: Iterable[str]) -> None:
        self._parent = {member: member for member in members}

    def _root(self, member: str) -> str:
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member

    def join(self, one: str, other: str) -> None:
        """Put two on one node; who is no member joins nothing."""
        if one in self._parent and other in self._parent:
            self._parent[self._root(other)] = self._root(one)

    def join_sharers(self, users: Mapping[str, list[str]]) -> None:
        """Put all users of the same thing on one node."""
        for members in users.values():
            for member in members[1:]:
                self.join(members[0], member)

    def groups(self) -> list[list[str]]:
        """Return the groups in the order of their first members."""
        found: dict[str, list[str]] = {}
        for member in self._parent:
            found.setdefault(self._root(member), []).append(member)
        return list(found.values())

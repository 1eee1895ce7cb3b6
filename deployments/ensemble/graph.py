"""The order in which allocations start: levels of `depends_on`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployments.ensemble.model import Ensemble


class Cycle(ValueError):
    """Allocations wait for each other; `names` is one round trip, first name repeated at the end."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(" -> ".join(names))
        self.names = names


def levels(ensemble: Ensemble) -> dict[str, int]:
    """Return the level of each allocation: 0 waits for nothing, n only for lower levels. Raises Cycle."""
    return levels_of({name: spec.depends_on for name, spec in ensemble.allocations.items()})


def levels_of(depends_on: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return the levels of a graph by Kahn's algorithm; unknown names count as started. Raises Cycle."""
    waits = {name: {other for other in wanted if other in depends_on} for name, wanted in depends_on.items()}
    followers: dict[str, list[str]] = {name: [] for name in waits}
    for name, wanted in waits.items():
        for other in wanted:
            followers[other].append(name)
    missing = {name: len(wanted) for name, wanted in waits.items()}
    found = {name: 0 for name, count in missing.items() if not count}
    ready = list(found)
    for name in ready:
        for follower in followers[name]:
            missing[follower] -= 1
            if not missing[follower]:
                found[follower] = found[name] + 1
                ready.append(follower)
    if len(found) < len(waits):
        raise Cycle(
            _cycle({name: wanted - found.keys() for name, wanted in waits.items() if name not in found})
        )
    return {name: found[name] for name in waits}


def _cycle(waits: Mapping[str, set[str]]) -> list[str]:
    """Return one cycle of a graph in which everything waits for something."""
    name = min(waits)
    trail: dict[str, int] = {}
    while name not in trail:
        trail[name] = len(trail)
        name = min(waits[name])
    names = list(trail)[trail[name] :]
    return [*names, name]

"""What is started again when an allocation fails, and when enough is enough. Pure.

The innermost group of the supervisor that lists the allocation decides; without one, its own `failure_recovery`
within its ensemble node. Restarts are counted by scope: 0 is the innermost, 1 the group around it, and so on. Who
has used up a scope is handed to the next, which restarts the group below it as if that were one failed member; with
no scope left it is given up. A restart by a wider scope gives the narrower ones their restarts back. With
`escalation_strategy: redeploy` the whole ensemble is the last scope: everything that has not ended begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from capabilities.numbers import NUMBERS
from deployments.ensemble.model import AllocationSpec, Ensemble, SupervisorSpec

ONE: Final = "one"
ALL: Final = "all"
REST: Final = "rest"
_REACH: Final = {
    "one_for_one": ONE,
    "one_for_all": ALL,
    "rest_for_one": REST,
    "OneForOne": ONE,
    "AllForOne": ALL,
    "RestForOne": REST,
}
ENGINE_RESTARTED: Final = "engine_restarted"
# Trying again ends the same way, or has nothing to run on.
HOPELESS: Final = frozenset({"image_missing", "image_unauthorized", "confinement", "start_failed"})


@dataclass(frozen=True, slots=True)
class Restart:
    """A restart that the failing allocation caused: when, and by which scope."""

    at: datetime
    scope: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Who may be restarted together. `failed`: what counts as the failed member; `members`: everybody, in order."""

    reach: str
    failed: tuple[str, ...]
    members: tuple[str, ...]

    def chosen(self) -> tuple[str, ...]:
        """Return who is started again, in the order of starting."""
        if self.reach == ALL:
            return self.members
        if self.reach == ONE:
            return tuple(name for name in self.members if name in self.failed)
        first = min(self.members.index(name) for name in self.failed)
        return tuple(name for place, name in enumerate(self.members) if place >= first or name in self.failed)


@dataclass(frozen=True, slots=True)
class Decision:
    """Who is started again (nobody: it stays down), after which pause, by which scope (None: it counts
    for none); `spent`: it was too often."""

    names: tuple[str, ...] = ()
    pause_s: float = 0.0
    scope: int | None = 0
    spent: bool = False


def decide(
    ensemble: Ensemble,
    name: str,
    cause: str,
    *,
    order: Sequence[str],
    past: Sequence[Restart],
    now: datetime,
) -> Decision:
    """Say what follows the failure of `name`. `order`: every allocation, as they are started."""
    if cause in HOPELESS:
        return Decision()
    if cause == ENGINE_RESTARTED:
        # Not the workload's failure: started again whatever the ensemble says, and counted nowhere.
        return Decision((name,), scope=None)
    spec = ensemble.allocations[name]
    retries = sum(1 for restart in past if restart.scope == 0)
    if spec.type == "task" and retries < spec.retry:
        return Decision((name,), pause_s(spec, retries), 0)
    levels = scopes(ensemble, name, order)
    for depth, scope in enumerate(levels):
        counted = _counted(spec, past, depth, now)
        if counted < _limit(spec):
            return Decision(scope.chosen(), pause_s(spec, counted), depth)
    return Decision(spent=bool(levels) or (spec.type == "task" and spec.retry > 0))


def scopes(ensemble: Ensemble, name: str, order: Sequence[str]) -> list[Scope]:
    """Return the scopes that may restart `name`, the innermost first; none: it stays down."""
    groups = _groups(ensemble.supervisor, name) if ensemble.supervisor is not None else []
    found: list[Scope] = []
    failed: tuple[str, ...] = (name,)
    for group in groups:
        members = _sorted(_below(group), order)
        if group.strategy:
            found.append(Scope(_REACH[group.strategy], failed, members))
        failed = members
    if not found and (reach := _REACH.get(ensemble.allocations[name].failure_recovery)):
        node = ensemble.node_of(name)
        found.append(Scope(reach, (name,), _sorted(node.allocations if node else (name,), order)))
    if found and ensemble.escalation_strategy == "redeploy":
        found.append(Scope(ALL, found[-1].members, tuple(order)))
    return found


def pause_s(spec: AllocationSpec, earlier: int) -> float:
    """Return the pause before a restart that follows `earlier` ones: doubled each time, up to the longest."""
    first, longest = NUMBERS.allocation_backoff_s, NUMBERS.allocation_backoff_max_s
    if spec.restart is not None:
        first, longest = spec.restart.backoff_s, spec.restart.backoff_max_s
    return float(min(longest, first * 2 ** min(earlier, 30)))


def _limit(spec: AllocationSpec) -> int:
    return spec.restart.max if spec.restart is not None else NUMBERS.allocation_restarts_max


def _counted(spec: AllocationSpec, past: Sequence[Restart], depth: int, now: datetime) -> int:
    within = spec.restart.within_s if spec.restart is not None else NUMBERS.allocation_restarts_within_s
    since = now - timedelta(seconds=within)
    wider = max((restart.at for restart in past if restart.scope > depth), default=None)
    return sum(
        1
        for restart in past
        if restart.scope == depth and restart.at > since and (wider is None or restart.at > wider)
    )


def _groups(group: SupervisorSpec, name: str) -> list[SupervisorSpec]:
    """Return the groups around `name`, the innermost first; empty when none below `group` lists it."""
    for child in group.children:
        if inner := _groups(child, name):
            return [*inner, group]
    return [group] if name in group.allocations else []


def _below(group: SupervisorSpec) -> set[str]:
    return set(group.allocations).union(*(_below(child) for child in group.children))


def _sorted(names: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=order.index))

"""The one table of states: for each stored name its icon, colour and whether it is on its way somewhere else.

Pages, charts and the admin read it; the word that people see is the stored name, so that page, command line and
API agree. Names that differ only in case (`Running`, `running`) are one state.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """How a state looks: `icon` is a Tabler icon, `colour` one of blue, green, orange, red, grey."""

    word: str
    icon: str
    colour: str
    moving: bool = False


_LOOKS: dict[tuple[str, str, bool], tuple[str, ...]] = {
    ("loader-2", "blue", True): (
        "preparing",
        "committing",
        "provisioning",
        "updating",
        "shuttingdown",
        "starting",
        "stopping",
        "pulling",
        "offered",
        "committed",
    ),
    ("circle-check", "green", False): (
        "running",
        "completed",
        "won",
        "allocated",
        "ready",
        "available",
        "allowed",
        "active",
        "healthy",
        "reachable",
        "used",
        "in force",
    ),
    ("alert-triangle", "orange", False): (
        "restarting",
        "draining",
        "suspected",
        "unhealthy",
        "ending",
        "ends soon",
    ),
    ("circle-x", "red", False): (
        "failed",
        "gone",
        "refused",
        "revoked",
        "expired",
        "void",
        "unreachable",
        "ended",
    ),
    ("circle-dashed", "grey", False): (
        "pending",
        "waiting",
        "queued",
        "stopped",
        "terminated",
        "standby",
        "lost",
        "drained",
        "not onboarded",
        "unavailable",
        "unknown",
    ),
}

STATES: dict[str, State] = {
    name: State(name, icon, colour, moving)
    for (icon, colour, moving), names in _LOOKS.items()
    for name in names
}


def state_of(name: str) -> State:
    """Return the look of the state `name`, keeping its spelling; an unknown name is grey."""
    look = STATES.get(name.lower())
    return State(name, look.icon, look.colour, look.moving) if look else State(name, "circle-dashed", "grey")

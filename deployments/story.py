"""The story of one deployment for its page: the five steps with their durations, the timeline with its offsets.

Pure: it works on rows that were read before, with the clock passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from deployments import states

STEPS = ("Preparing", "Bids", "Committing", "Provisioning", "Running")
_REACHED = {
    states.PREPARING: 0,
    states.COMMITTING: 2,
    states.PROVISIONING: 3,
    states.RUNNING: 4,
    states.UPDATING: 4,
    states.SHUTTING_DOWN: 4,
    states.COMPLETED: 4,
}


class Happened(Protocol):
    """What is read of an event."""

    at: datetime
    kind: str
    data: dict[str, object]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `state` is done, active, failed or waiting; `seconds` None while it has not begun."""

    number: int
    name: str
    state: str
    note: str = ""
    seconds: float | None = None


def starts(created: datetime, bids_at: datetime | None, events: Sequence[Happened]) -> list[datetime | None]:
    """Return when each step last began; a step that was begun again counts from its last time."""
    begun: list[datetime | None] = [created, bids_at, None, None, None]
    for event in events:
        target = event.data.get("to") if event.kind == "status" else None
        if target == states.COMMITTING:
            begun[2] = event.at
        elif target == states.PROVISIONING:
            begun[3] = event.at
        elif target == states.RUNNING:
            begun[4] = event.at
    return begun


def steps(
    *,
    status: str,
    created: datetime,
    bids_at: datetime | None,
    ended: datetime | None,
    events: Sequence[Happened],
    notes: dict[str, str],
    now: datetime,
) -> list[Step]:
    """Return the five steps. A failed deployment's last begun step is the failed one."""
    begun = starts(created, bids_at, events)
    over = status in states.TERMINAL
    reached = max(index for index, at in enumerate(begun) if at is not None)
    if status in _REACHED and status not in {states.COMPLETED, states.SHUTTING_DOWN}:
        reached = max(_REACHED[status], min(reached, 1) if status == states.PREPARING else 0)
    result = []
    for index, name in enumerate(STEPS):
        at = begun[index]
        if index > reached or (at is None and index >= reached):
            state = "active" if index == reached else "waiting"
        elif index < reached:
            state = "done"
        elif status == states.FAILED:
            state = "failed"
        else:
            state = "done" if status in {states.RUNNING, states.COMPLETED} else "active"
        following = next(
            (later for later in begun[index + 1 :] if later is not None and at and later >= at), None
        )
        end = following or (ended if over else now)
        seconds = (
            (end - at).total_seconds() if at is not None and end is not None and index <= reached else None
        )
        result.append(Step(index + 1, name, state, notes.get(name, ""), seconds))
    return result


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline: how long after the start it happened and how it is coloured."""

    event: Happened
    offset: str
    colour: str


_COLOURS = {states.FAILED: "red", states.RUNNING: "green", states.COMPLETED: "green"}


def timeline(created: datetime, events: Sequence[Happened]) -> list[Line]:
    """Return the lines of the timeline, oldest first."""
    lines = []
    for event in events:
        after = max(0.0, (event.at - created).total_seconds())
        target = str(event.data.get("to", ""))
        bad = event.data.get("status") == "failed" or "fail" in event.kind
        colour = _COLOURS.get(target) or ("red" if bad else "blue")
        if event.data.get("status") in {"running", "completed"}:
            colour = "green"
        lines.append(Line(event, f"+{after:.1f} s" if after < 100 else "", colour))
    return lines

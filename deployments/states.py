"""The state machines of deployments and allocations, as data. Pure.

Deployment
    Preparing     bids are asked for and matched
    Committing    the winners' resources and ports are being promised
    Provisioning  allocations start, one level of depends_on after the other
    Running       every allocation has been started
    Updating      a running ensemble is being changed
    ShuttingDown  allocations are being stopped; ends as Completed, or as Failed when that is why it stops
    Completed     ended as it should (terminal)
    Failed        ended for a stated reason (terminal)

Allocation
    pending -> running -> completed | failed | stopped | terminated; pending may also end directly.
    running -> pending, and pending -> pending: a further attempt has been asked for; it starts after its pause.
    standby waits to take over.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PREPARING = "Preparing"
COMMITTING = "Committing"
PROVISIONING = "Provisioning"
RUNNING = "Running"
UPDATING = "Updating"
SHUTTING_DOWN = "ShuttingDown"
COMPLETED = "Completed"
FAILED = "Failed"

ARROWS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        PREPARING: frozenset({COMMITTING, SHUTTING_DOWN, FAILED}),
        COMMITTING: frozenset({PROVISIONING, PREPARING, SHUTTING_DOWN, FAILED}),
        PROVISIONING: frozenset({RUNNING, PREPARING, SHUTTING_DOWN, FAILED}),
        RUNNING: frozenset({UPDATING, SHUTTING_DOWN, COMPLETED, FAILED}),
        UPDATING: frozenset({RUNNING, SHUTTING_DOWN, FAILED}),
        SHUTTING_DOWN: frozenset({COMPLETED, FAILED}),
        COMPLETED: frozenset(),
        FAILED: frozenset(),
    }
)
INITIAL = PREPARING
TERMINAL = frozenset(state for state, following in ARROWS.items() if not following)
UNFINISHED = frozenset(ARROWS) - TERMINAL
# Those in which something may be said about why it is where it is.
WITH_REASON = frozenset(ARROWS) - {COMPLETED}
BEFORE_RUNNING = frozenset({PREPARING, COMMITTING, PROVISIONING})

ALLOCATION_ARROWS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "pending": frozenset({"running", "failed", "terminated", "completed"}),
        "running": frozenset({"pending", "completed", "failed", "stopped", "terminated"}),
        "standby": frozenset({"pending", "terminated"}),
        "stopped": frozenset({"pending", "terminated"}),
        "completed": frozenset(),
        "failed": frozenset(),
        "terminated": frozenset(),
    }
)
ALLOCATION_TERMINAL = frozenset({"completed", "failed", "terminated", "stopped"})


def legal(source: str, target: str) -> bool:
    """Say whether a deployment may go from `source` to `target`."""
    return target in ARROWS.get(source, frozenset())

"""One container as an ensemble of one allocation: what `/dms/node/container/start` submits. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

NODE: Final = "here"
STARTED_BY: Final = "started_by"
CONTAINER_START: Final = "container/start"
LABEL_MAX: Final = 63
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9-]+")


def name_for(image: str, command: Sequence[str]) -> str:
    """Return a name for a container that was given none: its image's, else its program's."""
    text = image.partition("@")[0].rpartition("/")[2].partition(":")[0] or (command[0] if command else "")
    label = _NOT_IN_NAMES.sub("-", text.rpartition("/")[2].lower()).strip("-")[:LABEL_MAX].strip("-")
    return label or "container"


def allocation_id(deployment_id: str, name: str) -> str:
    """Return the id that the allocation of such a deployment has."""
    return f"{deployment_id}_{NODE}.{name}"


def tree(
    name: str,
    *,
    executor: str,
    kind: str,
    execution: Mapping[str, Any],
    resources: Mapping[str, Any],
    ports: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the ensemble of one allocation; members without a value are left out."""
    here: dict[str, Any] = {"allocations": [name]}
    if ports:
        here["ports"] = [{"allocation": name, **port} for port in ports]
    return {
        "metadata": {"name": name, STARTED_BY: CONTAINER_START},
        "allocations": {
            name: {
                "type": kind,
                "executor": executor,
                "resources": dict(resources),
                "execution": {"type": executor} | {key: value for key, value in execution.items() if value},
            }
        },
        "nodes": {NODE: here},
    }


def started_alone(metadata: Mapping[str, Any]) -> bool:
    """Say whether a deployment was made by `/dms/node/container/start`, and so ends with its container."""
    return metadata.get(STARTED_BY) == CONTAINER_START

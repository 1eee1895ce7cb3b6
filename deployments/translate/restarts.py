"""Restart policies: `restart` and `deploy.restart_policy`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from deployments.ensemble.lifetime import MAX_RESTARTS, MAX_RETRY
from deployments.translate.health import duration_ns
from deployments.translate.notes import Part

_POLICY = re.compile(r"(no|always|unless-stopped|on-failure)(?::([0-9]{1,9}))?")
_CONDITIONS = {"none": "no", "on-failure": "on-failure", "any": "always", "": "always"}


@dataclass(slots=True)
class Restarts:
    """`policy` no, always or on-failure; `max` None: without end."""

    policy: str = "no"
    max: int | None = None
    timings: dict[str, str] = field(default_factory=dict)

    def of_service(self) -> dict[str, Any]:
        """Return the members of a service's allocation."""
        if self.policy == "no":
            return {"failure_recovery": "stay_down"}
        most = MAX_RESTARTS if self.max is None else min(self.max, MAX_RESTARTS)
        return {"failure_recovery": "one_for_one", "restart": {"max": most} | self.timings}

    def of_task(self) -> dict[str, Any]:
        """Return the members of a task's allocation."""
        if self.policy == "no":
            return {}
        return {"retry": MAX_RETRY if self.max is None else min(self.max, MAX_RETRY)}


def read_restarts(service: Part, deploy: Part | None) -> Restarts:
    """Return the policy; the one in `deploy` goes before `restart`, as in swarm."""
    found = Restarts()
    text = service.text("restart")
    if text in ("false", "False"):
        text = "no"
    if match := _POLICY.fullmatch(text):
        found.policy = match[1]
        if match[2]:
            found.max = int(match[2])
    elif text:
        service.lost("restart", f"{text[:40]!r} is no policy", "no, always, on-failure[:n] or unless-stopped")
    policy = deploy.part("restart_policy") if deploy else None
    if policy is not None:
        _of_deploy(policy, found)
    if found.policy == "unless-stopped":
        found.policy = "always"
    return found


def _of_deploy(policy: Part, found: Restarts) -> None:
    condition = policy.text("condition")
    if condition in _CONDITIONS:
        found.policy = _CONDITIONS[condition]
    else:
        policy.lost("condition", f"{condition[:40]!r} is no condition", "none, on-failure or any")
    attempts = policy.text("max_attempts")
    if attempts.isascii() and attempts.isdigit():
        found.max = int(attempts[:9])
    elif attempts:
        policy.lost("max_attempts", f"{attempts[:20]!r} is no number")
    for key, ours in (("delay", "backoff"), ("window", "within")):
        text = policy.text(key)
        if not text or text in ("0", "0s"):
            continue
        length = duration_ns(text)
        if not length:
            policy.lost(key, f"{text[:40]!r} is no duration", "such as 5s")
            continue
        found.timings[ours] = text
        if ours == "backoff" and length > 60 * 10**9:
            found.timings["backoff_max"] = text
    policy.rest()

"""What an API token lets through of what its person may do: chosen paths, perhaps one deployment, until a moment.

Pure. A scope only ever takes away: whoever holds it may do what the person may *and* the scope lets through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from capabilities.chains import covered
from capabilities.roleset import SEES_ALL

# What is about deployments that exist: there the rows that a caller sees are those of the token's deployment alone.
# Whatever is not here makes something new or is about the machine, and a token for one deployment cannot do it.
OF_A_DEPLOYMENT = (
    "/public",
    "/dms/node/allocation",
    "/dms/node/allocations/list",
    "/dms/node/container/list",
    "/dms/node/container/stop",
    "/dms/node/deployment/delete",
    "/dms/node/deployment/info",
    "/dms/node/deployment/list",
    "/dms/node/deployment/logs",
    "/dms/node/deployment/manifest",
    "/dms/node/deployment/shutdown",
    "/dms/node/deployment/status",
    "/dms/node/deployment/update",
)


@dataclass(frozen=True, slots=True)
class Scope:
    """No `capabilities`: all that the person has. `deployment`: an id, or empty. `until`: None for ever."""

    capabilities: tuple[str, ...] = ()
    deployment: str = ""
    until: datetime | None = None

    @property
    def whole(self) -> bool:
        """Whether everything that the person may do is let through."""
        return not self.deployment and (not self.capabilities or "/" in self.capabilities)

    def lacks(self, capability: str) -> str:
        """Return why `capability` is not let through, empty when it is."""
        if self.deployment:
            if capability == SEES_ALL:
                # The deployment was visible to whoever made the token; nothing else is, whatever it says.
                return ""
            if not covered(OF_A_DEPLOYMENT, [capability]):
                return f"the API token in use is for the deployment {self.deployment[:12]} alone"
        if self.capabilities and not covered(self.capabilities, [capability]):
            return f"the API token in use covers only {', '.join(self.capabilities)}"
        return ""

    def beyond(self, capabilities: Iterable[str], deployment: str, until: datetime | None) -> str:
        """Return in what a token made with this one would exceed it, empty when in nothing."""
        wanted = tuple(capabilities)
        if self.capabilities and (not wanted or not covered(self.capabilities, wanted)):
            return f"a token made with this one may cover only {', '.join(self.capabilities)}"
        if self.deployment and deployment != self.deployment:
            return f"a token made with this one must be for the deployment {self.deployment[:12]}"
        if self.until is not None and (until is None or until > self.until):
            return f"a token made with this one ends by {self.until:%Y-%m-%d %H:%M} UTC at the latest"
        return ""

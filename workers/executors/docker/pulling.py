"""What a pull reports: its progress as one number, and its failure as a named cause. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.executors.base import Cause, ExecutorError

DOWNLOAD_SHARE = 0.8  # of a layer's work, the rest is unpacking it
DONE = {
    "Already exists": 1.0,
    "Pull complete": 1.0,
    "Download complete": DOWNLOAD_SHARE,
    "Verifying Checksum": DOWNLOAD_SHARE,
}

MISSING = (
    "manifest unknown",
    "no matching manifest",
    "name unknown",
    "repository name not known",
    "not found: does not exist",
    "invalid reference format",
)
UNAUTHORIZED = (
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "access denied",
    "access to the resource is denied",
    "denied: ",
    "incorrect username or password",
    "401",
    "403 forbidden",
)
UNREACHABLE = (
    "connection refused",
    "connection reset",
    "no such host",
    "i/o timeout",
    "timeout",
    "deadline exceeded",
    "eof",
    "no route to host",
    "network is unreachable",
    "temporary failure in name resolution",
    "server gave http response to https client",
    "x509",
    "tls:",
    "toomanyrequests",
    "received unexpected http status: 5",
    "broken pipe",
)


class Progress:
    """Folds the events of one pull into a percentage that never falls.

    `retrying`: the engine's last word was that it waits before it tries a layer again.
    """

    def __init__(self) -> None:
        self._layers: dict[str, float] = {}
        self._percent = 0
        self.last = ""
        self.retrying = False

    def feed(self, event: Mapping[str, Any]) -> int | None:
        """Take an event; return the new percentage when it has risen, else None."""
        layer, status = str(event.get("id") or ""), str(event.get("status") or "")
        detail = event.get("progressDetail") or {}
        self.last = f"{layer}: {status}" if layer else status
        if status.startswith("Retrying in"):
            self.retrying = True
        elif status == "Downloading" or status in DONE:
            self.retrying = False
        if status == "Pulling fs layer":
            self._layers.setdefault(layer, 0.0)
        if layer not in self._layers and status not in DONE:
            return None
        current, total = float(detail.get("current") or 0), float(detail.get("total") or 0)
        share = DONE.get(status, 0.0)
        if total > 0 and status == "Downloading":
            share = DOWNLOAD_SHARE * min(current / total, 1.0)
        elif total > 0 and status == "Extracting":
            share = DOWNLOAD_SHARE + (1 - DOWNLOAD_SHARE) * min(current / total, 1.0)
        self._layers[layer] = max(self._layers.get(layer, 0.0), share)
        percent = int(100 * sum(self._layers.values()) / len(self._layers))
        if percent <= self._percent:
            return None
        self._percent = percent
        return percent


def failure(image: str, text: str) -> ExecutorError:
    """Return the error for a pull that ended with the engine's words `text`."""
    lowered = text.casefold()
    if any(mark in lowered for mark in MISSING):
        return ExecutorError(Cause.IMAGE_MISSING, f"image {image} does not exist: {text}")
    if any(mark in lowered for mark in UNAUTHORIZED):
        hint = "it does not exist, or this machine's operator has to log in (docker login)"
        return ExecutorError(Cause.IMAGE_UNAUTHORIZED, f"image {image} is not given out: {text}; {hint}")
    if any(mark in lowered for mark in UNREACHABLE):
        return ExecutorError(
            Cause.REGISTRY_UNREACHABLE, f"the registry of {image} is out of reach: {text}", transient=True
        )
    if "not found" in lowered:
        return ExecutorError(Cause.IMAGE_MISSING, f"image {image} does not exist: {text}")
    return ExecutorError(Cause.START_FAILED, f"image {image} could not be pulled: {text}")

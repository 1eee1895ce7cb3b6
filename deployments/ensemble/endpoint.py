"""Where a health check asks: a path or URL of the allocation itself, and of nobody else. Pure.

The same reading is done when an ensemble is parsed and again before each probe, so that a row can ask nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from deployments.ensemble.manifest import DNS_SUFFIX

HTTP_PORT = 80
MAX_PORT = 65_535
MAX_ENDPOINT = 2_048
HERE = frozenset({"", "localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 (compared, not bound)
# What may stand in a request line; a blank or a control character would begin another line.
_TARGET = re.compile(r"[!-~]+")


class EndpointFault(ValueError):
    """It is no endpoint of the allocation; says why, `hint` what would do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port of the allocation, and what is asked there; `host` is what the request says, never where it goes."""

    port: int
    target: str = "/"
    host: str = "localhost"


def own_names(name: str, dns_name: str) -> frozenset[str]:
    """Return the host names that mean the allocation itself."""
    names = {name, dns_name, f"{name}{DNS_SUFFIX}", f"{dns_name}{DNS_SUFFIX}"}
    return HERE | {known.lower() for known in names}


def http_endpoint(text: str, port: int, names: Collection[str]) -> Endpoint:
    """Return where an http check asks. `port` 0: the URL's own, else 80. Raises EndpointFault."""
    path = "a path such as /health, with `port` beside it, or http://localhost:8080/health"
    if len(text) > MAX_ENDPOINT or not _TARGET.fullmatch(text):
        raise EndpointFault("must be printable ASCII without blanks", path)
    if text.startswith("/") and not text.startswith("//"):
        return Endpoint(port or HTTP_PORT, text.partition("#")[0] or "/")
    try:
        parts = urlsplit(text)
        given = parts.port
    except ValueError as fault:
        raise EndpointFault(f"{text[:80]!r} is no URL: {fault}", path) from None
    if parts.scheme != "http" or "@" in parts.netloc or not parts.netloc:
        raise EndpointFault(f"{text[:80]!r} is neither a path nor an http URL", path)
    host = (parts.hostname or "").lower()
    if host not in names:
        raise EndpointFault(
            f"{host[:60]!r} is not the allocation itself, which alone is asked",
            "write localhost, the allocation's dns_name, or only the path",
        )
    if port and given is not None and given != port:
        raise EndpointFault(f"the URL says port {given}, `port` says {port}", "give it once")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(port or given or HTTP_PORT, target, parts.netloc)

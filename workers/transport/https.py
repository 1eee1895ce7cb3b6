"""The direct transport between sites: POST of the envelope to the actor endpoint of a known address.

Security does not rest on it (the envelope and its answer are signed), privacy does: certificates are always
verified, redirections are not followed, and unencrypted HTTP stays on this machine unless the operator says otherwise.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import httpx

from capabilities.numbers import NUMBERS
from node.addresses import address_check
from node.reaching import RefusedThere, Step, Unreachable, step_of

SAYS: dict[Step, str] = {
    "resolve": "the name does not resolve",
    "connect": "no connection",
    "tls": "no secure connection",
}


def plain_allowed() -> bool:
    """Say whether the operator allows plain HTTP to other machines."""
    return os.environ.get("DMS_PEER_PLAIN_HTTP", "").lower() in ("1", "true", "yes", "on")


class Https:
    """One connection pool a process; httpx's client may be used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def carry(self, envelope: bytes, address: str, verb: str, timeout_s: float) -> bytes:
        """Post the envelope and return the answer."""
        headers = {"Content-Type": "application/json"}
        return self._ask("POST", address, f"/actor/{verb}", timeout_s, content=envelope, headers=headers)

    def handle(self, address: str, timeout_s: float) -> bytes:
        """Ask the site how its node is addressed."""
        return self._ask("GET", address, "/actor/handle", timeout_s)

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                trust = httpx.create_ssl_context()
                if authorities := os.environ.get("DMS_PEER_CA"):
                    trust.load_verify_locations(authorities)
                self._client = httpx.Client(
                    headers={"Accept": "application/json", "User-Agent": "dms-site"},
                    verify=trust,
                    follow_redirects=False,
                    trust_env=bool(os.environ.get("DMS_PEER_PROXY_FROM_ENV")),
                    limits=httpx.Limits(
                        max_connections=64, max_keepalive_connections=16, keepalive_expiry=10
                    ),
                )
            return self._client

    def _ask(self, method: str, address: str, path: str, timeout_s: float, **options: Any) -> bytes:
        site = address_check(address, plain=plain_allowed())
        patience = httpx.Timeout(timeout_s, connect=min(timeout_s, NUMBERS.peer_connect_timeout_s))
        ends_at = time.monotonic() + timeout_s
        try:
            with self._http().stream(method, f"{site}/api/v1{path}", timeout=patience, **options) as response:
                body = _bounded(response, site, ends_at)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as fault:
            step = step_of(fault)
            said = str(fault) or type(fault).__name__
            raise Unreachable(
                step, f"{site} cannot be reached: {SAYS[step]} ({said})", address=site, again=True
            ) from None
        except httpx.TimeoutException:
            raise Unreachable(
                "answer", f"{site} did not answer within {timeout_s:.0f} s", address=site
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise Unreachable("answer", f"the connection to {site} broke: {fault}", address=site) from None
        return _checked(response, body, site)


def _bounded(response: httpx.Response, site: str, ends_at: float) -> bytes:
    """Return the body; what is too large or drips in for ever is no answer."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > NUMBERS.peer_answer_max_bytes:
            raise Unreachable(
                "http", f"{site} answers with more than {NUMBERS.peer_answer_max_bytes} bytes", address=site
            )
        if time.monotonic() > ends_at:
            raise Unreachable("answer", f"{site} did not finish its answer in time", address=site)
        parts.append(part)
    return b"".join(parts)


def _checked(response: httpx.Response, body: bytes, site: str) -> bytes:
    status = response.status_code
    if status == httpx.codes.OK:
        return body
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and str(document.get("type", "")).startswith("urn:dms:problem:"):
        if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
            detail = f"{site} takes no messages at the moment: {document.get('detail')}"
            raise Unreachable("http", detail, address=site, again=True)
        raise RefusedThere(document, f"the site at {site}", signed=False, status=status)
    if status == httpx.codes.REQUEST_TIMEOUT:
        raise Unreachable("answer", f"{site} gave no answer before the message expired", address=site)
    again = status in (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE)
    said = f"{status} {response.reason_phrase}".strip()
    raise Unreachable("http", f"{site} answered {said}, which is no DMS site's", address=site, again=again)

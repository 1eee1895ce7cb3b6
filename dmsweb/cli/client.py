"""The connection from the command line to a site's REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from capabilities.refusal import Refusal
from dmsweb.home import Home
from dmsweb.launch.table import running_pid

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
GET_ONE = "./dms user token NAME makes one, on the machine of that site"


class Answered(Refusal):
    """A refusal that the site answered; `problem` is the document it sent."""

    def __init__(self, document: Mapping[str, Any], status: int) -> None:
        unnamed = "timed_out" if status == httpx.codes.REQUEST_TIMEOUT else "refused"
        code = str(document.get("type", "")).rpartition(":")[2] or unnamed
        said = (document.get(name) for name in ("detail", "title", "error"))
        detail = str(next(filter(None, said), f"the site answered {status}"))
        super().__init__(code, detail, status=status, hint=str(document.get("hint", "")))
        self.document = dict(document)

    def problem(self) -> dict[str, Any]:
        """Return the site's document, completed where it lacks a standard member."""
        return super().problem() | self.document


@dataclass(slots=True)
class Client:
    """Calls one site. `local`: it is this home's own site."""

    url: str
    token: str
    local: bool
    home: Home
    _http: httpx.Client | None = field(default=None, repr=False)

    @classmethod
    def to(cls, home: Home, url: str = "", token: str = "") -> Client:
        """Return the client of `url`, or of the home's own site. Raises Refusal when that does not run."""
        if url:
            if not token:
                raise Refusal("no_token", f"{url} needs a token", hint="give --token TOKEN or set DMS_TOKEN")
            _check(url, token)
            return cls(url.rstrip("/"), token, False, home)
        try:
            site = json.loads(home.path("run", "site.json").read_text())
            found = str(site["url"]).rstrip("/")
            if running_pid(home) is None:
                # What a killed supervisor left: somebody else may have the port now, and must not get the token.
                raise ValueError("stale")
        except PermissionError as error:
            raise Refusal(
                "not_allowed",
                f"{error.filename} may not be read: the site belongs to somebody else",
                hint="run as the user who started it, or give --url URL --token TOKEN",
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise site_down(home) from None
        if not token:
            try:
                token = home.path("secrets", "cli-token").read_text().strip()
            except OSError as error:
                raise Refusal(
                    "no_token",
                    f"{home.path('secrets', 'cli-token')}: {error.strerror}",
                    hint="run as the user who started the site, or give --token TOKEN",
                ) from None
        return cls(found, token, True, home)

    @property
    def http(self) -> httpx.Client:
        """The HTTP connection; a proxy from the environment is for other sites only."""
        if self._http is None:
            self._http = httpx.Client(
                base_url=f"{self.url}/api/v1",
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Accept": "application/json, application/problem+json, text/plain",
                    "User-Agent": "dms-cli",
                    # A site behind a TLS proxy sends plain HTTP away; this call never leaves the machine.
                    **({"X-Forwarded-Proto": "https"} if self.local else {}),
                },
                timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                trust_env=not self.local,
            )
        return self._http

    def call(
        self, path: str, payload: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Invoke the behavior `path` with `payload` and return its response. Raises Refusal."""
        return self.send("POST", path, json=dict(payload), timeout_s=timeout_s)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the resource at `path` below /api/v1. Raises Refusal."""
        return self.send("GET", path, params=params)

    def send_bytes(self, path: str, body: bytes, *, timeout_s: float = READ_TIMEOUT_S) -> Any:
        """Post JSON text as it is and return whatever JSON is answered. Raises Refusal."""
        headers = {"Content-Type": "application/json"}
        return self._answer("POST", path, content=body, headers=headers, timeout=timeout_s)

    def send(
        self, method: str, path: str, *, timeout_s: float | None = None, **options: Any
    ) -> dict[str, Any]:
        """Send one request and return the JSON object it answers. Raises Refusal."""
        if timeout_s is not None:
            options["timeout"] = timeout_s
        document = self._answer(method, path, **options)
        if not isinstance(document, dict):
            raise _stranger(self.url)
        return document

    def _answer(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self.http.request(method, path, **options)
        except httpx.HTTPError as fault:
            raise self._fault(fault) from None
        if response.is_error:
            raise _answered(response)
        try:
            return response.json()
        except ValueError:
            raise _stranger(self.url) from None

    def stream(self, path: str, **params: Any) -> Iterator[bytes]:
        """Yield the chunks of a text stream as they come, however long it is silent. Raises Refusal."""
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        try:
            with self.http.stream("GET", path, params=params, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    raise _answered(response)
                yield from response.iter_bytes()
        except httpx.HTTPError as fault:
            raise self._fault(fault) from None

    def _fault(self, fault: httpx.HTTPError) -> Refusal:
        if isinstance(fault, httpx.ConnectError):
            if self.local:
                return site_down(self.home)
            if "refused" in str(fault).lower():
                return Refusal(
                    "connection_refused",
                    f"{self.url} refuses the connection",
                    hint="is the site up there, and is this its port?",
                )
            return Refusal(
                "unreachable",
                f"{self.url} cannot be reached: {fault}",
                hint="check the name, http or https, and the network",
            )
        if isinstance(fault, httpx.TimeoutException):
            return Refusal(
                "timed_out", f"{self.url} did not answer in time", hint="./dms status shows its state"
            )
        return Refusal("connection_lost", f"the connection to {self.url} broke: {fault}", hint="try again")


def _check(url: str, token: str) -> None:
    """Refuse what can be no address of a site, and what can be no token."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        raise Refusal(
            "bad_url", f"{url!r} is not the address of a site", hint="write for example http://127.0.0.1:8765"
        )
    if not (token.isascii() and token.isprintable()):
        raise Refusal("no_token", "the token holds characters that no token has", hint=GET_ONE)


def site_down(home: Home) -> Refusal:
    """Return the refusal of a verb that needs the site while it does not run."""
    return Refusal("site_down", f"no site runs in {home.root}", hint="start it with ./dms up", status=503)


def _stranger(url: str) -> Refusal:
    return Refusal("not_a_site", f"{url} does not answer like a DMS site", hint="check the address of --url")


def _answered(response: httpx.Response) -> Refusal:
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"detail": f"the site answered {response.status_code} {response.reason_phrase}"}
    if response.status_code == httpx.codes.UNAUTHORIZED:
        document = {**document, "detail": "the site does not accept the token", "hint": GET_ONE}
    return Answered(document, response.status_code)

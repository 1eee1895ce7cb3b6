"""Ask an allocation once whether it works. The answer is a sentence, and whether it is good.

Everything is bounded: the time as a whole (a slow drip of bytes does not stretch it), the bytes, the destination
(the allocation's own address on its bridge). Redirects are answers, proxies are not used.
"""

from __future__ import annotations

import http.client
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from capabilities.numbers import NUMBERS
from deployments import health
from deployments.ensemble.endpoint import Endpoint, EndpointFault, http_endpoint, own_names
from deployments.ensemble.model import HealthcheckSpec
from workers.executors.base import Cause, Executor, ExecutorError
from workers.executors.inside import TookTooLong
from workers.health.wire import NotItsOwn, Wire

READ_BYTES = 65_536  # of one read; what is kept is NUMBERS.health_answer_max_bytes
HEAD_BYTES = 65_536  # what an answer's head may take on top
UNTOLD = frozenset({Cause.ENGINE_UNREACHABLE, Cause.GONE})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question. `good` None: it could not be asked, which says nothing about the allocation."""

    good: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask: one execution, and its names."""

    execution_id: str
    name: str
    dns_name: str
    spec: HealthcheckSpec


def ask(asked: Asked, executor: Executor, address: str, *, timeout_s: float) -> Answer:
    """Ask once. Never raises for what the allocation does."""
    began = time.monotonic()
    what = asked.spec.type
    try:
        if asked.spec.type == "command":
            what = f"command {' '.join(asked.spec.exec)[: health.EXCERPT]}"
            return _command(asked, executor, began, timeout_s)
        if asked.spec.type == "http":
            endpoint = http_endpoint(
                asked.spec.endpoint, asked.spec.port, own_names(asked.name, asked.dns_name)
            )
            what = f"GET {endpoint.target[: health.EXCERPT]}"
            return _http(asked.spec, endpoint, address, began, timeout_s)
        what = f"tcp {asked.spec.port}"
        return _tcp(asked.spec, address, began, timeout_s)
    except (TimeoutError, TookTooLong):
        return Answer(False, f"{what} -> no answer within {health.milliseconds(timeout_s)}")
    except ExecutorError as error:
        return Answer(None if error.cause in UNTOLD else False, f"{what} -> {error.detail}")
    except (EndpointFault, NotItsOwn) as fault:
        return Answer(False, f"{what} -> not asked: {fault}")
    except OSError as error:
        return Answer(False, f"{what} -> {error.strerror or error} after {_since(began)}")
    except (http.client.HTTPException, ValueError) as error:
        kind = type(error).__name__
        return Answer(False, f"{what} -> no HTTP answer ({kind}) after {_since(began)}")


def _since(began: float) -> str:
    return health.milliseconds(time.monotonic() - began)


def _command(asked: Asked, executor: Executor, began: float, timeout_s: float) -> Answer:
    limit = NUMBERS.health_answer_max_bytes
    code, output = executor.run_inside(
        asked.execution_id, asked.spec.exec, timeout_s=timeout_s, max_bytes=limit + 1
    )
    text = f"exit code {code} after {_since(began)}"
    if code:
        return Answer(False, f"{text}: {health.shown(output)}" if output.strip() else text)
    fault = health.fault_of(asked.spec, output[:limit], cut=len(output) > limit)
    return Answer(not fault, f"{text}, {fault}" if fault else text)


def _http(spec: HealthcheckSpec, endpoint: Endpoint, address: str, began: float, timeout_s: float) -> Answer:
    limit = NUMBERS.health_answer_max_bytes
    wire = Wire(address, endpoint.port, deadline=began + timeout_s, max_bytes=limit + HEAD_BYTES)
    with closing(wire):
        wire.send(
            f"GET {endpoint.target} HTTP/1.1\r\nHost: {endpoint.host}\r\nUser-Agent: dms-healthcheck\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode()
        )
        stream: Any = wire  # the reader needs no more of a socket than its file
        response = http.client.HTTPResponse(stream, method="GET")
        response.begin()
        what = f"GET {endpoint.target[: health.EXCERPT]} -> {response.status}"
        if not health.status_is_good(spec.status, response.status):
            moved = response.getheader("Location")
            where = f" to {health.shown(moved.encode())}, not followed" if moved else ""
            return Answer(False, f"{what} after {_since(began)}{where}")
        if not spec.response_value and spec.response_type in ("", "string"):
            return Answer(True, f"{what} after {_since(began)}")
        body, cut = _body(spec, response, limit)
    fault = health.fault_of(spec, body, cut=cut)
    text = f"{what} after {_since(began)}"
    return Answer(not fault, f"{text}, {fault}" if fault else text)


def _body(spec: HealthcheckSpec, response: http.client.HTTPResponse, limit: int) -> tuple[bytes, bool]:
    """Return the beginning of the body, and whether it goes on."""
    body = bytearray()
    while len(body) <= limit and not health.decided(spec, bytes(body)):
        try:
            chunk = response.read1(READ_BYTES)
        except http.client.IncompleteRead as broken:
            body += broken.partial
            return bytes(body[:limit]), True
        if not chunk:
            return bytes(body), False
        body += chunk
    return bytes(body[:limit]), True


def _tcp(spec: HealthcheckSpec, address: str, began: float, timeout_s: float) -> Answer:
    limit = NUMBERS.health_answer_max_bytes
    with closing(Wire(address, spec.port, deadline=began + timeout_s, max_bytes=limit)) as wire:
        text = f"tcp {spec.port} -> connected after {_since(began)}"
        if not spec.response_value:
            return Answer(True, text)
        received = bytearray()
        try:
            while not health.decided(spec, bytes(received)) and (chunk := wire.read(READ_BYTES)):
                received += chunk
        except TimeoutError:
            if not received:
                raise
        fault = health.fault_of(spec, bytes(received), cut=wire.used_up)
    return Answer(not fault, f"{text}, {fault}" if fault else text)

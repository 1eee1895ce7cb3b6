"""The health check of an allocation: what is asked, what must be answered, how often and how patiently."""

from __future__ import annotations

import re

from capabilities.numbers import NUMBERS
from deployments.ensemble.durations import read_duration
from deployments.ensemble.endpoint import MAX_PORT, EndpointFault, http_endpoint, own_names
from deployments.ensemble.fields import Fields, Shape
from deployments.ensemble.model import CHECKS, EXPECTATIONS, HealthcheckSpec
from deployments.ensemble.problems import join
from deployments.ensemble.tree import Sequence

HEALTHCHECK = Shape(
    "healthcheck",
    frozenset(
        {
            "type",
            "exec",
            "endpoint",
            "port",
            "status",
            "response",
            "interval",
            "timeout",
            "retries",
            "start_period",
        }
    ),
    hints={"test": "compose's word: write `type: command` and `exec: [..]`"},
)
RESPONSE = Shape("response", frozenset({"type", "value"}))
STATUS = re.compile(r"[1-5](?:xx|[0-9][0-9])")
MAX_RETRIES = 1_000
MAX_START_PERIOD_S = 86_400.0
# Which members belong to which kind of check.
_ASKED = {"command": ("exec",), "http": ("endpoint", "port", "status"), "tcp": ("port",)}


def read_healthcheck(top: Fields, *, name: str, dns_name: str, executor: str) -> HealthcheckSpec | None:
    """Return the allocation's check, None when it has none."""
    check = top.child("healthcheck", HEALTHCHECK)
    if check is None:
        return None
    kind = check.choice("type", CHECKS, "", required=f"one of: {', '.join(CHECKS)}")
    _foreign_members(check, kind)
    if kind in ("http", "tcp") and executor == "process":
        check.error(
            "type",
            f"a process has no network of its own, so that no {kind} check reaches it",
            "use type command, which runs inside its sandbox",
        )
    response = check.child("response", RESPONSE)
    return HealthcheckSpec(
        type=kind,
        exec=_words(check, kind),
        endpoint=check.text("endpoint", required="the path, or the URL, to get" if kind == "http" else ""),
        port=_port(check, kind, name, dns_name),
        status=_status(check),
        response_type=_expectation(response),
        response_value=response.text("value", may_be_empty=True) if response else "",
        interval_ns=_interval(check),
        timeout_ns=read_duration(check, "timeout", most_s=NUMBERS.health_timeout_max_s) or 0,
        retries=check.integer("retries", 1, MAX_RETRIES),
        start_period_ns=read_duration(check, "start_period", zero=True, most_s=MAX_START_PERIOD_S) or 0,
    )


def _foreign_members(check: Fields, kind: str) -> None:
    known = {member for members in _ASKED.values() for member in members}
    for member in sorted(known - set(_ASKED.get(kind, known)) & check.items.keys()):
        if check.find(member) is not None:
            mark = check.node.mark_of(member)
            hint = f"remove it, or use type {next(k for k, members in _ASKED.items() if member in members)}"
            check.report.warn(join(check.path, member), mark, f"a {kind} check has no `{member}`", hint)


def _words(check: Fields, kind: str) -> tuple[str, ...]:
    example = 'such as ["curl", "-s", "localhost"]'
    words = check.texts("exec", required=example if kind == "command" else "")
    given = check.find("exec")
    if kind == "command" and isinstance(given, Sequence) and not given.items:
        check.error("exec", "must hold the command", example)
    return words


def _port(check: Fields, kind: str, name: str, dns_name: str) -> int:
    port = check.integer("port", 1, MAX_PORT, required="the port that listens" if kind == "tcp" else "")
    node = check.find("endpoint")
    text = getattr(node, "text", "")
    if kind == "http" and text.strip():
        try:
            http_endpoint(text, port, own_names(name, dns_name))
        except EndpointFault as fault:
            check.error("endpoint", str(fault), fault.hint)
    return port


def _status(check: Fields) -> str:
    status = check.text("status").lower()
    if status and not STATUS.fullmatch(status):
        check.error("status", f"{status[:20]!r} is no HTTP status", "such as 200, 204 or 2xx")
        return ""
    return status


def _expectation(response: Fields | None) -> str:
    if response is None:
        return ""
    # The reference's files say `string` and leave the rest to the kind of check.
    return response.choice("type", ("string", *EXPECTATIONS), "")


def _interval(check: Fields) -> int:
    interval = read_duration(check, "interval") or 0
    least_s = NUMBERS.health_interval_min_s
    if 0 < interval < least_s * 1e9:
        mark = check.items["interval"].mark
        message = f"shorter than {least_s:g}s; it is checked every {least_s:g}s"
        check.report.warn(join(check.path, "interval"), mark, message, f"write {least_s:g}s or longer")
    return interval

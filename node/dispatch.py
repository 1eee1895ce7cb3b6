"""From an allowed invocation to its answer: schema, handler, audit. Every way in ends here.

1. the request is parsed by the behavior's own type; every bad field is named
2. the handler runs; its Refusals pass through unchanged
3. anything else it raises is a fault of ours: logged with the traceback, answered with the request's id
4. the audit log gets one entry: always when refused or failed, when allowed only if the behavior changes
   something
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from capabilities.context import Decision
from capabilities.models import AuditEntry
from capabilities.numbers import NUMBERS
from capabilities.recorder import recording
from capabilities.redaction import SECRET
from capabilities.refusal import Reason, Refusal
from node.counters import INVOCATION_SECONDS, INVOCATIONS
from node.limiter import Limiter, Limits
from node.message import Message
from node.record import record
from node.registry import REGISTRY, Behavior, Call

logger = logging.getLogger(__name__)

LIMITER = Limiter(
    Limits(
        public_allow=NUMBERS.public_limit_allow,
        public_acquire=NUMBERS.public_limit_acquire,
        broadcast_allow=NUMBERS.broadcast_limit_allow,
        broadcast_acquire=NUMBERS.broadcast_limit_acquire,
        topic_default=NUMBERS.topic_default_limit,
    )
)


def find(path: str) -> Behavior:
    """Return the behavior of exactly this path; Refusal `unknown_behavior` names the nearest ones."""
    entry = REGISTRY.get(path)
    if entry is not None:
        return entry
    near = difflib.get_close_matches(path[:255], REGISTRY.entries, n=3, cutoff=0.6)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else "GET /api/v1/behaviors/ lists what this node offers"
    )
    raise Refusal("unknown_behavior", f"this node has no behavior {path[:255]}", status=404, hint=hint)


def not_authorized(who: str, path: str, why: str) -> Refusal:
    """Return the answer for a missing capability; it names the capability that would pass."""
    return Refusal(
        "not_authorized",
        f"{who} may not invoke {path}: {why}",
        status=403,
        hint=f"ask an administrator of this node for the capability {path}",
        capability=path,
    )


def run(entry: Behavior, call: Call, payload: Any, decision: Decision, topic: str = "") -> Message:
    """Run an authorised invocation within the limits of its class."""
    LIMITER.acquire(entry.path, topic)
    try:
        return perform(entry, call, payload, token_chain=decision.token_keys)
    finally:
        LIMITER.release(entry.path, topic)


def perform(entry: Behavior, call: Call, payload: Any, *, token_chain: Iterable[str] = ()) -> Message:
    """Parse, run and record one allowed invocation; Refusal says what was wrong."""
    outcome, reason = AuditEntry.Outcome.ALLOWED, ""
    changes: list[dict[str, Any]] = []
    begin = time.perf_counter()
    try:
        with recording(entry.changes) as recorder:
            answer = entry.handler(replace(call, path=entry.path), parse(entry, payload))
        changes = recorder.document()
        return answer
    except Refusal as refusal:
        outcome, reason = AuditEntry.Outcome.REFUSED, f"{refusal.code}: {refusal.detail}"
        raise
    except Exception as error:
        logger.exception("behavior %s failed, request %s", entry.path, call.request_id)
        outcome, reason = AuditEntry.Outcome.FAILED, f"{type(error).__name__}, request {call.request_id}"
        raise Refusal(
            "internal_error",
            f"{entry.path} failed unexpectedly",
            status=500,
            hint=f"the log of this site has the cause under request {call.request_id}",
            request_id=call.request_id,
        ) from error
    finally:
        INVOCATIONS.labels(entry.path, outcome).inc()
        INVOCATION_SECONDS.labels(entry.path).observe(time.perf_counter() - begin)
        if entry.changes:
            logger.info("%s %s", entry.path, outcome, extra={"behavior": entry.path, "source": call.source})
        if entry.changes or outcome != AuditEntry.Outcome.ALLOWED:
            record(
                call.invoker.did,
                entry.path,
                outcome,
                call,
                reason=reason,
                payload=payload,
                token_chain=token_chain,
                changes=changes,
            )


def parse(entry: Behavior, payload: Any) -> Message:
    """Return the request in the behavior's type; Refusal `invalid_request` with every bad field."""
    if not isinstance(payload, Mapping):
        raise _invalid(entry, (Reason("type", "the request must be a JSON object", hint="send {...}"),))
    try:
        nul = _holds_nul(payload)
    except RecursionError:
        raise _invalid(entry, (Reason("depth", "the request is nested too deeply"),)) from None
    if nul:
        raise _invalid(entry, (Reason("text", "text must not contain the character U+0000", nul),))
    try:
        return entry.request.model_validate(payload)
    except ValidationError as error:
        known = sorted(field.alias or name for name, field in entry.request.model_fields.items())
        raise _invalid(
            entry, tuple(_reason(item, known) for item in error.errors(include_url=False))
        ) from None


def _holds_nul(value: Any, path: str = "") -> str:
    if isinstance(value, str):
        return (path or "(request)") if "\x00" in value else ""
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        return ""
    for key, item in items:
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(key, str) and "\x00" in key:
            return path or "(request)"
        found = _holds_nul(item, inner)
        if found:
            return found
    return ""


def _invalid(entry: Behavior, reasons: tuple[Reason, ...]) -> Refusal:
    plural = "s" if len(reasons) > 1 else ""
    return Refusal(
        "invalid_request",
        f"{len(reasons)} field{plural} of the request to {entry.path} cannot be accepted",
        status=400,
        hint="; ".join(reason.message for reason in reasons[:3]),
        reasons=reasons,
    )


def _reason(item: Any, known: list[str]) -> Reason:
    path = ".".join(str(part) for part in item["loc"])
    hint = ""
    if item["type"] == "extra_forbidden":
        hint = f"known members: {', '.join(known)}" if known else "this request has no members"
    elif item["type"] == "missing":
        hint = f"add {path}"
    context = item.get("ctx") or {}
    expected = context.get("expected") or context.get("ge") or context.get("gt") or context.get("le")
    given = "" if item["type"] == "missing" else repr(item.get("input"))[:80]
    if SECRET.search(path):
        given = ""
    return Reason(
        check=str(item["type"]),
        message=f"{path or 'request'}: {item['msg']}",
        path=path,
        needed="" if expected is None else str(expected),
        available=given,
        hint=hint,
    )

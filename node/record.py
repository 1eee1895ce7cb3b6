"""What the audit log keeps of an invocation: who, what, from where, how it ended; no secrets, bounded size."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from capabilities.numbers import NUMBERS
from capabilities.services import audit
from node.registry import Call

SECRET = re.compile(
    r"pass(word|phrase)|secret|token|private|credential|authorization|api_?key|^link$|^proof$", re.IGNORECASE
)
REMOVED = "(removed)"
DEPTH_MAX = 64


def record(
    actor: str,
    path: str,
    outcome: str,
    call: Call | None,
    *,
    source: str = "",
    remote_addr: str = "",
    reason: str = "",
    payload: Any = None,
    token_chain: Iterable[str] = (),
) -> None:
    """Write the audit entry of one invocation, secrets removed."""
    audit(
        actor=actor,
        path=path,
        outcome=outcome,
        reason=reason,
        source=call.source if call else source,
        remote_addr=call.remote_addr if call else remote_addr,
        request=redacted(payload),
        token_chain=token_chain,
    )


def redacted(payload: Any) -> dict[str, Any]:
    """Return what the audit log keeps of a request: no secrets, bounded size."""
    if not isinstance(payload, Mapping):
        return {}
    clean = _clean(payload, 0)
    text = json.dumps(clean, cls=DjangoJSONEncoder)
    if len(text) > NUMBERS.audit_request_max_bytes:
        return {"left_out": f"{len(text)} bytes", "members": sorted(map(str, payload))[:50]}
    document: dict[str, Any] = json.loads(text)
    return document


def _clean(value: Any, depth: int) -> Any:
    if depth > DEPTH_MAX:
        return "(too deep)"
    if isinstance(value, Mapping):
        return {
            str(key).replace("\x00", ""): REMOVED if SECRET.search(str(key)) else _clean(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, str):
        # Documents (an ensemble with its environment) may hold secrets in their text.
        return f"({len(value)} characters)" if "\n" in value else value.replace("\x00", "")
    return value if isinstance(value, int | float | bool) or value is None else str(value)

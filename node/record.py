"""What the audit log keeps of an invocation: who, what, from where, how it ended; no secrets, bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from capabilities.numbers import NUMBERS
from capabilities.redaction import clean
from capabilities.services import audit
from node.registry import Call


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
    changes: list[dict[str, Any]] | None = None,
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
        changes=changes,
    )


def redacted(payload: Any) -> dict[str, Any]:
    """Return what the audit log keeps of a request: no secrets, bounded size."""
    if not isinstance(payload, Mapping):
        return {}
    kept = clean(payload)
    text = json.dumps(kept, cls=DjangoJSONEncoder)
    if len(text) > NUMBERS.audit_request_max_bytes:
        return {"left_out": f"{len(text)} bytes", "members": sorted(map(str, payload))[:50]}
    document: dict[str, Any] = json.loads(text)
    return document

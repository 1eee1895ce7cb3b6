"""The one door: whoever wants something done here invokes a behavior, and is checked in the same place.

`invoke` is the way in for what is already authenticated inside the site: a click, a REST call, the command line.
Signature and nonce exist where bytes cross the border of the site: `node.receive`.
"""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from capabilities.context import Decision
from capabilities.models import AuditEntry, Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.services import authorize, is_root
from node.dispatch import perform, record
from node.limiter import Limiter, Limits
from node.message import Message
from node.models import Node
from node.registry import REGISTRY, Behavior, Call
from node.selectors import local_node

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
    near = difflib.get_close_matches(path, REGISTRY.entries, n=3, cutoff=0.6)
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


def may(identity: Identity, path: str) -> bool:
    """Say whether `identity` holds the capability for `path`: pages hide what is not allowed."""
    return authorize(identity, path).allowed


def invoke(
    *,
    identity: Identity,
    path: str,
    payload: Mapping[str, Any],
    source: str,
    remote_addr: str = "",
    request_id: str = "",
    node: Node | None = None,
    expires_at: datetime | None = None,
) -> Message:
    """Invoke the behavior `path` as `identity` and return its response; Refusal when any check says no."""
    entry = find(path)
    decision = authorize(identity, path)
    if not decision.allowed:
        refusal = not_authorized(identity.name or identity.did, path, decision.why)
        record(
            identity.did,
            path,
            AuditEntry.Outcome.REFUSED,
            None,
            source=source,
            remote_addr=remote_addr,
            reason=f"{refusal.code}: {refusal.detail}",
            payload=payload,
        )
        raise refusal
    call = Call(
        invoker=identity,
        node=node or local_node(),
        now=timezone.now(),
        source=source,
        remote_addr=remote_addr,
        request_id=request_id or uuid.uuid4().hex,
        expires_at=expires_at,
        is_root=is_root(identity),
    )
    return run(entry, call, payload, decision)


def run(entry: Behavior, call: Call, payload: Any, decision: Decision, topic: str = "") -> Message:
    """Run an authorised invocation within the limits of its class."""
    LIMITER.acquire(entry.path, topic)
    try:
        return perform(entry, call, payload, token_chain=decision.token_keys)
    finally:
        LIMITER.release(entry.path, topic)

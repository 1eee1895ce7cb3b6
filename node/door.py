"""The one door: whoever wants something done here invokes a behavior, and is checked in the same place.

`invoke` is the way in for what is already authenticated inside the site: a click, a REST call, the command line.
Signature and nonce exist where bytes cross the border of the site: `receive`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from capabilities.models import AuditEntry, Identity
from capabilities.services import authorize, forget, is_root
from node.actor import local_actor
from node.dispatch import find, not_authorized, run
from node.envelope import Envelope
from node.logger import context
from node.message import Message
from node.models import Node
from node.record import record
from node.registry import Call
from node.selectors import local_node


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
    # What a page remembers is for drawing it; whoever changes something is looked at anew.
    forget(identity)
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
        request_id=request_id or context.request_id() or uuid.uuid4().hex,
        expires_at=expires_at,
        is_root=is_root(identity),
    )
    return run(entry, call, payload, decision)


def receive(data: bytes, *, remote_addr: str = "") -> Envelope | None:
    """Take in one signed envelope and return the signed answer, None when none was asked for.

    Refusal when nobody can be answered: the bytes are no envelope, not for this node, not signed by their
    sender; or the sender wanted no reply. Everybody else gets a refusal as a signed reply.
    """
    return local_actor().receive(data, remote_addr=remote_addr)

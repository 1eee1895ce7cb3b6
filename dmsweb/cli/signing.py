"""Envelopes signed on the command line's side, with a key of the keystore."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from typing import Any

from capabilities import keystore
from dmsweb.cli.key import key_path, passphrase_of
from dmsweb.cli.session import Session
from node.envelope import compose
from node.handle import Handle


def signed_envelope(
    session: Session,
    behavior: str,
    payload: dict[str, Any],
    *,
    name: str,
    dest: str,
    topic: str,
    reply: bool,
    expiry_s: float,
) -> dict[str, Any]:
    """Return the document of an envelope from a user's actor, signed with the key `name`. Raises Refusal.

    It goes to `dest` (a handle in JSON or text, a DID or a peer id), to the site's own node when that is
    empty, and to nobody in particular when there is a `topic`.
    """
    signer = keystore.unseal(keystore.read(key_path(session, name)), passphrase_of(session))
    own = Handle.parse(session.get("/actor/handle"))
    nonce = secrets.randbits(63)
    envelope = compose(
        to=Handle() if topic else (destination(dest) if dest else own),
        behavior=behavior,
        sender=replace(Handle.of_key(signer.public, f"user-{nonce}"), host=own.host),
        payload=payload,
        nonce=nonce,
        now_ns=time.time_ns(),
        timeout_s=expiry_s,
        reply_to=_reply_path(nonce, reply, topic),
        topic=topic,
    )
    return envelope.sign(signer).document()


def destination(text: str) -> Handle:
    """Return the handle that `text` names. Raises Refusal."""
    if text.startswith("{"):
        return Handle.parse(json.loads(text))
    if text.startswith("did:"):
        return Handle.of_did(text)
    return Handle.from_text(text) if "@" in text else Handle.of_peer_id(text)


def _reply_path(nonce: int, reply: bool, topic: str) -> str:
    if topic:
        return f"/public/user/{nonce}"
    return f"/private/user/{nonce}" if reply else ""

"""Envelopes signed on the command line's side, with a key of the keystore, or in the name of a hardware wallet's."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from capabilities import keystore
from capabilities.context import CapabilityContext
from capabilities.did import did_of
from capabilities.hardware import is_ledger_context
from capabilities.keys import PrivateKey, Signer
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.tokens import Token, TokenList
from dmsweb.cli.key import key_path, passphrase_of
from dmsweb.cli.key_ledger import ledger_of
from dmsweb.cli.session import Session
from node.addresses import address_check
from node.envelope import Envelope, compose
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
    expiry_s: float | None,
    held: Sequence[Token] = (),
) -> dict[str, Any]:
    """Return the document of an envelope from a user's actor, signed with the key `name`. Raises Refusal.

    It brings along what its receiver asks for: an invocation that rests on `held`, the tokens delegated to that
    key, and on the key itself, which is enough where its DID is a root.

    It goes to `dest` (a handle in JSON or text, a DID, a peer id, an address, the name of a known site), to the
    site's own node when that is empty, and to nobody in particular when there is a `topic`.

    Where `name` means a hardware wallet, a fresh key signs the envelope, and the wallet that it acts for it.
    """
    signer, authority = _keys(session, name)
    if expiry_s is None:
        # Somebody has to read and confirm on the device, once for each token.
        hardware = signer is not authority
        expiry_s = NUMBERS.ledger_envelope_expiry_s if hardware else NUMBERS.envelope_expiry_s
    own = Handle.parse(session.get("/actor/handle"))
    nonce = secrets.randbits(63)
    draft = compose(
        to=Handle() if topic else (destination(session, dest) if dest else own),
        behavior=behavior,
        sender=replace(
            Handle.of_key(signer.public, f"user-{nonce}"), did=did_of(authority.public), host=own.host
        ),
        payload=payload,
        nonce=nonce,
        now_ns=time.time_ns(),
        timeout_s=expiry_s,
        reply_to=_reply_path(nonce, reply, topic),
        topic=topic,
    )
    tokens = _tokens(authority, draft, held)
    return replace(draft, capabilities=tokens).sign(signer).document()


def _keys(session: Session, name: str) -> tuple[PrivateKey, Signer]:
    """Return what signs the envelope, and what it speaks for: the same, but for a hardware wallet."""
    if is_ledger_context(name):
        device = ledger_of(session, name)
        session.output.log(f"confirm on the hardware wallet: account {device.index}, {device.address}")
        return PrivateKey.generate(), device
    signer = keystore.unseal(keystore.read(key_path(session, name)), passphrase_of(session))
    return signer, signer


def _tokens(signer: Signer, draft: Envelope, held: Sequence[Token]) -> bytes:
    own = draft.sender.id_did
    context = CapabilityContext(did=draft.sender.did, provide=held)
    if draft.broadcast:
        return context.provide_broadcast(
            signer, own_id=own, topic=draft.topic, expires_ns=draft.expires_ns, capabilities=[draft.behavior]
        )
    return context.provide(
        signer,
        target_did=draft.to.did,
        own_id=own,
        target_id=draft.to.id_did,
        expires_ns=draft.expires_ns,
        invoke=[draft.behavior],
        delegate=[draft.reply_to] if draft.reply_to else [],
    )


def held_tokens(file: str) -> tuple[Token, ...]:
    """Return the tokens in `file`, a token list or one token, as `cap grant` prints them. Raises Refusal."""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise Refusal(
            "unreadable_file", f"{file}: {error.strerror}", hint="give the path of a token list"
        ) from None
    return TokenList.parse(data).tokens


def said(reply: object, asked: object) -> Any:
    """Return the message of a reply, once it is certain who says it. Raises Refusal when it is not.

    Where the question went to one node, the answer must be signed by that node and be meant for the asker.
    """
    answer = Envelope.from_document(reply)
    question = Envelope.from_document(asked)
    answer.verify()
    if answer.to != question.sender or (
        not question.broadcast and answer.sender.public_key != question.to.public_key
    ):
        raise Refusal(
            "foreign_reply",
            f"the reply is from {answer.sender} to {answer.to}, the question went to {question.to}",
            status=502,
            hint="somebody between here and the node answers in its place",
        )
    return answer.payload()


def destination(session: Session, text: str) -> Handle:
    """Return the handle that `text` names. Raises Refusal."""
    if text.startswith(("http://", "https://")):
        return _at(text)
    if not text.startswith(("{", "did:")) and "@" not in text:
        named = session.get("/peers/", name=text)["items"]
        if named:
            return Handle.of_did(str(named[0]["did"]))
    if text.startswith("{"):
        return Handle.parse(json.loads(text))
    if text.startswith("did:"):
        return Handle.of_did(text)
    return Handle.from_text(text) if "@" in text else Handle.of_peer_id(text)


def _at(address: str) -> Handle:
    """Ask the site at an address how its node is addressed."""
    site = address_check(address, plain=True)
    try:
        answer = httpx.get(f"{site}/api/v1/actor/handle", timeout=5.0, trust_env=False)
        return Handle.parse(answer.json())
    except (httpx.HTTPError, ValueError) as fault:
        raise Refusal(
            "unreachable", f"{site} does not say who it is: {fault}", hint="check the address", status=502
        ) from None


def _reply_path(nonce: int, reply: bool, topic: str) -> str:
    if topic:
        return f"/public/user/{nonce}"
    return f"/private/user/{nonce}" if reply else ""

"""Capability contexts as rows: `dms` is the node's own, any other belongs to a key of the keystore.

What is added is verified first, all of it, and written in one transaction: the first fault leaves everything as it
was. Contexts can be written to and read from the reference's `.cap` files.

A context of a hardware wallet is called `ledger:<account>`; `ledger` and `ledger:<alias>` mean it too. The device is
asked for its key when the context is made, and for signatures; everything else goes without it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import transaction

from capabilities import custody, hardware, keystore, selectors
from capabilities.anchors import Anchors, parse_context
from capabilities.context import KNOWN_CHAINS, CapabilityContext
from capabilities.device import LedgerKey, ledger_key
from capabilities.did import did_of, key_of
from capabilities.gojson import loads
from capabilities.keys import KeyType, Signer
from capabilities.models import Anchor, Context
from capabilities.moments import moment_of
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal, not_found
from capabilities.revocations import revocations_accept
from capabilities.tokens import Token

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
Kind = Anchor.Kind


def context_new(name: str, key_name: str = "") -> Context:
    """Make the context `name` of the key `key_name` of the keystore, else of the key of the same name.

    Either may be a key on the hardware wallet, which is asked for its public half.
    """
    name, key_name = new_name_check(name, key_name)
    key = _unlock(key_name or name)
    row, made = Context.objects.get_or_create(
        name=name, defaults={"did": did_of(key.public), "key_name": key_name or name}
    )
    if not made:
        raise Refusal(
            "context_exists", f"there is a context {name} already", status=409, hint="choose another name"
        )
    return row


def new_name_check(name: str, key_name: str = "") -> tuple[str, str]:
    """Return the names of a new context and of its key as they are kept. Raises Refusal for what cannot be one."""
    name, key_name = name_of(name), name_of(key_name)
    if hardware.is_ledger_context(name):
        if key_name not in ("", name):
            raise Refusal(
                "invalid_context", f"the key of {name} is on the hardware wallet", hint="omit --key"
            )
    elif not _NAME.fullmatch(name) or name == selectors.CONTEXT:
        raise Refusal(
            "invalid_context",
            f"{name[:64]!r} cannot be the name of a new context",
            hint=f"letters, digits, dots and dashes; {selectors.CONTEXT} is the node's own and is always there",
        )
    return name, key_name


def name_of(name: str) -> str:
    """Return the name under which the context (or key) `name` is kept: a hardware wallet's has several."""
    if not hardware.is_ledger_context(name):
        return name
    return hardware.ledger_context(name, hardware.aliases_read(settings.DMS_HOME.path(hardware.FILE)))


def ledger_did(name: str) -> str:
    """Return whose the hardware wallet's context `name` is; the device is asked when there is none yet."""
    name = name_of(name)
    did = Context.objects.filter(name=name).values_list("did", flat=True).first()
    return did or did_of(_unlock(name).public)


def context_names() -> list[str]:
    """Return the names of all contexts, the node's own first."""
    return [selectors.CONTEXT, *Context.objects.order_by("name").values_list("name", flat=True)]


def context_get(name: str) -> CapabilityContext:
    """Return a context with its unexpired anchors; Refusal when there is none of that name."""
    if name == selectors.CONTEXT:
        return selectors.site_context()
    name = name_of(name)
    did = Context.objects.filter(name=name).values_list("did", flat=True).first()
    if did is None:
        refusal = not_found("context", name)
        refusal.hint = "`./dms cap new NAME` makes one; there are: " + ", ".join(context_names())
        raise refusal
    anchors = _anchors(name).unexpired(time.time_ns())
    return CapabilityContext(did, anchors.roots, anchors.require, anchors.provide, anchors.revoked.values())


def anchors_of(name: str) -> tuple[str, Anchors]:
    """Return whose context it is and what it holds, revocations as tokens, without what has expired."""
    name = name_of(name)
    return context_get(name).did, _anchors(name).unexpired(time.time_ns())


def context_key(name: str) -> Signer:
    """Return what signs for a context: the node's key, one from the keystore, or one on the hardware wallet."""
    if name == selectors.CONTEXT:
        return custody.node_key()
    row = Context.objects.filter(name=name_of(name)).first()
    if row is None:
        raise not_found("context", name)
    if key_of(row.did).type is KeyType.Eth:  # which no keystore holds
        # The device is not asked whose it is: what it signs is checked with the key that the context is known by.
        return LedgerKey(key_of(row.did), hardware.ledger_index(row.key_name, {}))
    return _unlock(row.key_name)


def anchors_add(
    name: str,
    *,
    roots: Iterable[str] = (),
    require: Iterable[Token] = (),
    provide: Iterable[Token] = (),
    revoke: Iterable[Token] = (),
) -> Anchors:
    """Add anchors to a context, all or nothing, and return what it holds now; TokenFault at the first that fails.

    What no longer verifies after that (a revocation among the new ones) is dropped.
    """
    name = name_of(name)
    roots, require, provide, revoke = tuple(roots), tuple(require), tuple(provide), tuple(revoke)
    for did in roots:
        key_of(did)
    with transaction.atomic():
        context_get(name)
        if revoke and name == selectors.CONTEXT:
            revocations_accept(revoke)  # other sites are told of the node's, too
        held = _anchors(name, lock=True)
        fresh = held.added(roots, require, provide, revoke, time.time_ns(), KNOWN_CHAINS)
        _write(name, held, fresh)
    return fresh


def anchors_remove(
    name: str,
    *,
    roots: Iterable[str] = (),
    require: Iterable[Token] = (),
    provide: Iterable[Token] = (),
    revoke: Iterable[Token | str] = (),
) -> int:
    """Take anchors out of a context; return how many there were of them."""
    name = name_of(name)
    with transaction.atomic():
        context_get(name)
        held = _anchors(name, lock=True)
        fresh = held.removed(tuple(roots), tuple(require), tuple(provide), tuple(revoke))
        return _write(name, held, fresh)


def context_save(name: str) -> Path:
    """Write a context to `cap/NAME.cap` of the site's folder and return the path.

    Whoever reads sees the old file or the new one; of earlier ones a few are kept beside it.
    """
    name = name_of(name)
    did, anchors = anchors_of(name)
    path: Path = settings.DMS_HOME.path("cap", f"{name}.cap")
    if path.exists():
        os.link(path, path.with_name(f"{path.name}.{int(time.time())}.{secrets.token_hex(2)}"))
    keystore.replace(path, json.dumps(anchors.document(did), separators=(",", ":")))
    kept = sorted(path.parent.glob(f"{path.name}.*"), key=lambda old: old.stat().st_mtime_ns)
    for old in kept[: -NUMBERS.saved_contexts_kept]:
        old.unlink(missing_ok=True)
    return path


def context_load(name: str, data: bytes) -> Anchors:
    """Add what a `.cap` file holds to the context `name`, whose DID must be the file's; return what it holds now."""
    did, anchors = parse_context(loads(data, max_bytes=NUMBERS.context_file_max_bytes), time.time_ns())
    context = context_get(name)
    if did != context.did:
        raise Refusal(
            "bad_context",
            f"bad context: the file belongs to {did}, the context {name} to {context.did}",
            hint="import its key (`./dms key import`), then `./dms cap new NAME --key KEY`",
        )
    revocations = tuple(entry for entry in anchors.revoked.values() if isinstance(entry, Token))
    return anchors_add(
        name, roots=anchors.roots, require=anchors.require, provide=anchors.provide, revoke=revocations
    )


def _unlock(key_name: str) -> Signer:
    if hardware.is_ledger_context(key_name):
        return ledger_key(hardware.ledger_index(key_name, {}))
    if key_name == custody.KEY_NAME:
        return custody.node_key()
    return keystore.unseal(keystore.read(custody.key_path(key_name)), custody.passphrase())


def _anchors(name: str, *, lock: bool = False) -> Anchors:
    rows = Anchor.objects.filter(context=name)
    return selectors.anchors_in(rows.select_for_update() if lock else rows)


def _write(name: str, held: Anchors, fresh: Anchors) -> int:
    """Make the rows say `fresh` instead of `held`; return how many went."""
    before, after = _entries(held), _entries(fresh)
    gone = 0
    for kind in Kind.values:
        lost = [key for found, key in before.keys() - after.keys() if found == kind]
        gone += Anchor.objects.filter(context=name, kind=kind, key__in=lost).delete()[0] if lost else 0
    Anchor.objects.bulk_create(
        [_row(name, kind, key, after[kind, key]) for kind, key in after if (kind, key) not in before],
        ignore_conflicts=True,
    )
    return gone


def _entries(anchors: Anchors) -> dict[tuple[str, str], Token | None]:
    found: dict[tuple[str, str], Token | None] = {(Kind.ROOT.value, did): None for did in anchors.roots}
    found |= {(Kind.REQUIRE.value, token.key): token for token in anchors.require}
    found |= {(Kind.PROVIDE.value, token.key): token for token in anchors.provide}
    found |= {
        (Kind.REVOKE.value, key): entry if isinstance(entry, Token) else None
        for key, entry in anchors.revoked.items()
    }
    return found


def _row(name: str, kind: str, key: str, token: Token | None) -> Anchor:
    return Anchor(
        context=name,
        kind=kind,
        key=key,
        token=token.document() if token else None,
        expires_at=moment_of(min(link.expires_ns for link in token.links())) if token else None,
    )

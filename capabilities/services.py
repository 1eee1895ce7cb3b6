"""Writes: identities, grants, revocations, anchors; and the question everything rests on, `authorize`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from capabilities import custody, selectors, tokens
from capabilities.context import CapabilityContext, Decision, permits
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import Anchor, AuditEntry, Identity, Token
from capabilities.moments import moment_of
from capabilities.refusal import Refusal
from capabilities.revocations import revocation_publish
from capabilities.roleset import SEES_ALL
from capabilities.scope import Scope
from capabilities.tokenform import key_parts

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

NS = 1_000_000_000


def identity_for_user(user: AbstractUser) -> Identity:
    """Return the user's identity, made with a fresh key on first use."""
    existing = Identity.objects.filter(user_id=user.pk).first()
    if existing is not None:
        return existing
    key = PrivateKey.generate()
    identity, _ = Identity.objects.get_or_create(
        user_id=user.pk,
        defaults={
            "did": did_of(key.public),
            "kind": Identity.Kind.USER,
            "name": user.get_username(),
            "sealed_key": custody.seal_secret(key.marshal()),
        },
    )
    return identity


def identity_for_peer(did: str) -> Identity:
    """Return the identity behind `did`, made as a peer's when it is new here."""
    existing = Identity.objects.filter(did=did).first()
    if existing is not None:
        return existing
    identity, _ = Identity.objects.get_or_create(
        did=did, defaults={"kind": Identity.Kind.PEER, "name": did[-12:]}
    )
    return identity


def key_of_identity(identity: Identity) -> PrivateKey:
    """Return the private key of an identity of this site; Refusal for a peer's."""
    if identity.sealed_key:
        return PrivateKey.unmarshal(custody.unseal_secret(bytes(identity.sealed_key)))
    key = custody.node_key() if identity.kind == Identity.Kind.NODE else None
    if key is None or did_of(key.public) != identity.did:
        raise Refusal(
            "key_not_here",
            f"this site does not hold the private key of {identity.did}",
            status=409,
            hint="let its holder sign",
        )
    return key


def grant(
    node_identity: Identity,
    subject: str,
    capabilities: Iterable[str],
    lifetime: timedelta,
    *,
    topics: Iterable[str] = (),
    action: str = "delegate",
    depth: int = 0,
) -> tokens.Token:
    """Issue a token from `node_identity` to the DID `subject` and keep it as a row."""
    expires_ns = time.time_ns() + int(lifetime.total_seconds() * NS)
    token = tokens.issue(
        key_of_identity(node_identity),
        action=action,
        subject=subject,
        capabilities=tuple(capabilities),
        topics=tuple(topics),
        expires_ns=expires_ns,
        depth=depth,
    )
    token_keep(token)
    return token


def delegate(
    giver: Identity,
    subject: str,
    capabilities: Iterable[str],
    lifetime: timedelta,
    *,
    topics: Iterable[str] = (),
    depth: int = 0,
) -> tokens.Token:
    """Hand on what `giver` holds here: a token of hers that rests on one that this site has given her.

    It ends with that one at the latest, and with its revocation. Refusal when none covers all of it.
    """
    asked, channels = tuple(capabilities), tuple(topics)
    # What she may do is what she may hand on: the API token in use may let through less than she holds.
    for path in asked:
        decision = authorize(giver, path)
        if not decision.allowed:
            raise Refusal(
                "not_authorized",
                f"what you may not do you cannot hand on: {decision.why}",
                status=403,
                hint="leave it away, or ask a root of this node to grant it",
                capability=path,
            )
    wanted_ns = time.time_ns() + int(lifetime.total_seconds() * NS)
    scope = scope_of(giver)
    if scope is not None and scope.until is not None:
        wanted_ns = min(wanted_ns, int(scope.until.timestamp() * NS))
    flaws = []
    for parent in selectors.tokens_of(giver.did):
        expires_ns = min(wanted_ns, *(link.expires_ns for link in parent.links()))
        if tokens.allow_delegation(
            parent, issuer=giver.did, audience="", topics=channels, expires_ns=expires_ns, capabilities=asked
        ):
            token = tokens.issue(
                key_of_identity(giver),
                action="delegate",
                subject=subject,
                capabilities=asked,
                topics=channels,
                expires_ns=expires_ns,
                depth=depth,
                chain=parent,
            )
            token_keep(token)
            return token
        flaws.append(f"one covers {', '.join(parent.capabilities)}")
    raise Refusal(
        "not_authorized",
        f"{giver} holds no token here that covers {', '.join(asked + channels)} and may be passed on",
        status=403,
        hint=f"she holds: {'; '.join(flaws) or 'none'}; all of it must come from one token",
    )


def token_keep(token: tokens.Token) -> None:
    """Keep a token that was issued here as a row, so that its holder need not bring it along."""
    owner = identity_for_peer(token.subject)
    Token.objects.create(
        owner=owner,
        issuer=token.issuer,
        subject=token.subject,
        action=token.action,
        capabilities=list(token.capabilities),
        topics=list(token.topics),
        nonce=key_parts(token.key)[2],
        document=token.document(),
        parent=selectors.rows_of(token.chain.key).first() if token.chain else None,
        expires_at=moment_of(token.expires_ns),
    )


def revoke(row: Token) -> tokens.Token:
    """Revoke an issued token for good, here at once, and return the revocation for everybody else."""
    token = tokens.Token.parse(row.document)
    issuer = Identity.objects.get(did=row.issuer)
    revocation = tokens.issue(
        key_of_identity(issuer),
        action="revoke",
        subject=token.subject,
        capabilities=token.capabilities,
        expires_ns=token.expires_ns,
        nonce=token.nonce,
    )
    with transaction.atomic():
        Token.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=timezone.now())
        kept, fresh = Anchor.objects.get_or_create(
            context=selectors.CONTEXT,
            kind=Anchor.Kind.REVOKE,
            key=token.key,
            defaults={"token": revocation.document(), "expires_at": row.expires_at},
        )
        if fresh:
            revocation_publish([revocation])
    return revocation if fresh or not kept.token else tokens.Token.parse(kept.token)


def root_add(did: str) -> None:
    """Trust `did` absolutely."""
    Anchor.objects.get_or_create(context=selectors.CONTEXT, kind=Anchor.Kind.ROOT, key=did)


def root_remove(did: str) -> None:
    """Stop trusting `did` absolutely."""
    Anchor.objects.filter(context=selectors.CONTEXT, kind=Anchor.Kind.ROOT, key=did).delete()


def is_root(identity: Identity) -> bool:
    """Say whether `identity` may do everything: the site's own node, or a root anchor; not by a narrowed token."""
    scope = scope_of(identity)
    if scope is not None and not scope.whole:
        return False
    kept = identity.__dict__.get("_remembers")
    context = kept[0] if kept else selectors.site_context()
    return identity.did == context.did or identity.did in context.roots


def sees_all(identity: Identity) -> bool:
    """Say whether `identity` sees what everybody runs here: a root, or whoever holds that capability."""
    return authorize(identity, SEES_ALL).allowed


def narrowed(identity: Identity, scope: Scope | None) -> Identity:
    """Let `identity` be who uses an API token: it may do what the token lets through, and no more."""
    identity.__dict__["_scope"] = scope
    return identity


def scope_of(identity: Identity) -> Scope | None:
    """Return what the API token in use lets through; None without one."""
    scope: Scope | None = identity.__dict__.get("_scope")
    return scope


def bound_to(identity: Identity) -> str:
    """Return the id of the only deployment that the API token in use is for, empty for any."""
    scope = scope_of(identity)
    return scope.deployment if scope is not None else ""


def remember(identity: Identity) -> Identity:
    """Let what decides about `identity` be read once for all questions of one request; `forget` ends that."""
    identity.__dict__["_remembers"] = None
    return identity


def forget(identity: Identity) -> None:
    """Read anew what decides about `identity`."""
    if "_remembers" in identity.__dict__:
        identity.__dict__["_remembers"] = None
        identity.__dict__.pop("_teams", None)


def _grounds(identity: Identity) -> tuple[CapabilityContext, tuple[tokens.Token, ...]]:
    kept: tuple[CapabilityContext, tuple[tokens.Token, ...]] | None = identity.__dict__.get("_remembers")
    if kept is None:
        context = selectors.site_context()
        free = identity.did == context.did or identity.did in context.roots
        kept = (context, () if free else selectors.tokens_of(identity.did))
        if "_remembers" in identity.__dict__:
            identity.__dict__["_remembers"] = kept
    return kept


def authorize(identity: Identity, capability: str) -> Decision:
    """Decide whether `identity` may invoke `capability` inside this site, and on which tokens that rests."""
    scope = scope_of(identity)
    if scope is not None and (why := scope.lacks(capability)):
        return Decision(allowed=False, why=why)
    context, held = _grounds(identity)
    if identity.did == context.did or identity.did in context.roots:
        return Decision(allowed=True, why="a root of this node", token_keys=())
    return permits(context, identity.did, capability, held, time.time_ns())


def audit(
    *,
    actor: str,
    path: str,
    outcome: str,
    source: str,
    reason: str = "",
    remote_addr: str = "",
    request: dict[str, Any] | None = None,
    token_chain: Iterable[str] = (),
    changes: list[dict[str, Any]] | None = None,
) -> None:
    """Write one entry of the audit log. `changes`: see `capabilities.recorder`."""
    AuditEntry.objects.create(
        actor=actor[:160],
        path=path[:255],
        outcome=outcome,
        reason=reason.replace("\x00", ""),
        source=source,
        remote_addr=remote_addr[:64],
        request=request or {},
        token_chain=list(token_chain),
        changes=changes or [],
    )

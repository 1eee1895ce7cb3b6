"""Capabilities as behaviors: what the node's context holds, anchoring, granting, revoking, and the question why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from capabilities import checking, contexts, grants, services
from capabilities.context import CapabilityContext
from capabilities.did import DidFault, key_of
from capabilities.inspection import links
from capabilities.models import Anchor, Identity
from capabilities.models import Token as TokenRow
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal, not_found
from capabilities.selectors import CONTEXT, revoked_words, rows_of, tokens_of
from capabilities.tokenform import check_path
from capabilities.tokens import Token, TokenList
from node.message import Message
from node.registry import Call, behavior

TOKENS = "A token, or a token list."


class CapListRequest(Message):
    """Which context."""

    context: str = Field("", alias="Context", max_length=64, description="Empty: the node's own, `dms`.")


class CapListResponse(Message):
    """The four lists of a context."""

    ok: bool = Field(True, alias="OK")
    error: str = Field("", alias="Error")
    context: str = Field(alias="Context")
    did: dict[str, str] = Field(alias="DID", description="Whose context it is.")
    roots: list[dict[str, str]] = Field(alias="Roots", description="DIDs trusted absolutely.")
    require: dict[str, Any] = Field(alias="Require", description="Token list: whose tokens are accepted.")
    provide: dict[str, Any] = Field(alias="Provide", description="Token list: what was given to this node.")
    revoke: dict[str, Any] = Field(alias="Revoke", description="Token list of revocations.")


class CapAnchorRequest(Message):
    """What is to be anchored in the node's context. A root cannot be added by a message."""

    root: list[dict[str, str]] = Field(default_factory=list, alias="Root", description="Must be empty.")
    require: dict[str, Any] = Field(default_factory=dict, alias="Require", description=TOKENS)
    provide: dict[str, Any] = Field(default_factory=dict, alias="Provide", description=TOKENS)
    revoke: dict[str, Any] = Field(default_factory=dict, alias="Revoke", description=TOKENS)


class TokensRequest(Message):
    """Tokens of one kind."""

    token: dict[str, Any] = Field(alias="Token", description=TOKENS)


class CapAnchorResponse(Message):
    """`OK` when all of it is anchored; at the first fault nothing is."""

    ok: bool = Field(True, alias="OK")
    error: str = Field("", alias="Error")


class CapRemoveRequest(Message):
    """An anchor to be taken out of the node's context. Roots are removed on the machine itself."""

    kind: Literal["require", "provide"] = Field(alias="Kind")
    key: str = Field(alias="Key", max_length=400, description="issuer#subject#nonce of the anchored token.")


class CapGrantRequest(Message):
    """Who gets what, until when, and how often it may be passed on."""

    subject: str = Field(alias="Subject", max_length=160, description="DID.")
    capabilities: list[str] = Field(alias="Capabilities", min_length=1, max_length=64)
    topics: list[str] = Field(default_factory=list, alias="Topics", max_length=64)
    depth: int = Field(
        0, alias="Depth", ge=0, le=2**63, description="How often it may be passed on; 0: freely."
    )
    lifetime_s: float = Field(
        NUMBERS.role_grant_lifetime_s, alias="LifetimeSeconds", gt=0, le=36_500 * 86_400
    )


class CapTokensResponse(Message):
    """What was issued."""

    ok: bool = Field(True, alias="OK")
    token: dict[str, Any] = Field(alias="Token", description="Token list.")


class CapRevokeRequest(Message):
    """A token that this node has issued: its number in the list of tokens, or its key."""

    id: int = Field(0, alias="ID", ge=0)
    key: str = Field("", alias="Key", max_length=400, description="issuer#subject#nonce")


class CapCheckRequest(Message):
    """May `Who` invoke `Can`, here or on another node?"""

    who: str = Field(alias="Who", max_length=160, description="DID.")
    can: str = Field(alias="Can", max_length=512, description="Capability path, such as a behavior.")
    on: str = Field("", alias="On", max_length=160, description="DID of another node; empty: this one.")


class CapCheckResponse(Message):
    """The answer, with the chain it rests on, or with what is missing and what would add it."""

    allowed: bool = Field(alias="Allowed")
    why: str = Field(alias="Why")
    chain: list[dict[str, Any]] = Field(default_factory=list, alias="Chain")
    missing: str = Field("", alias="Missing")
    commands: list[str] = Field(default_factory=list, alias="Commands")


@behavior("/dms/cap/list", request=CapListRequest, response=CapListResponse)
def cap_list(call: Call, request: CapListRequest) -> CapListResponse:
    """Show a capability context: roots, require, provide and revoke, without what has expired."""
    name = request.context or CONTEXT
    if name != CONTEXT and not call.is_root:
        raise not_found("context", name)
    did, anchors = contexts.anchors_of(name)
    return CapListResponse(context=name, **anchors.document(did))


@behavior("/dms/cap/anchor", request=CapAnchorRequest, response=CapAnchorResponse, changes=True)
def cap_anchor(call: Call, request: CapAnchorRequest) -> CapAnchorResponse:
    """Anchor tokens in the node's context, all of them or none. A root is added on the machine itself only."""
    if request.root:
        raise Refusal(
            "root_not_by_message",
            "a root can do everything here, so no message adds one",
            status=403,
            hint="on the machine itself: ./dms cap anchor --root DID",
            reasons=(Reason("root_not_by_message", "must be empty", "Root"),),
        )
    return _anchored(
        call,
        require=_tokens(request.require, "Require"),
        provide=_tokens(request.provide, "Provide"),
        revoke=_tokens(request.revoke, "Revoke"),
    )


@behavior("/dms/cap/require/anchor", request=TokensRequest, response=CapAnchorResponse, changes=True)
def require_anchor(call: Call, request: TokensRequest) -> CapAnchorResponse:
    """Anchor whose tokens are accepted here."""
    return _anchored(call, require=_tokens(request.token, "Token"))


@behavior("/dms/cap/provide/anchor", request=TokensRequest, response=CapAnchorResponse, changes=True)
def provide_anchor(call: Call, request: TokensRequest) -> CapAnchorResponse:
    """Anchor what others have given to this node."""
    return _anchored(call, provide=_tokens(request.token, "Token"))


@behavior("/dms/cap/revoke/anchor", request=TokensRequest, response=CapAnchorResponse, changes=True)
def revoke_anchor(call: Call, request: TokensRequest) -> CapAnchorResponse:
    """Anchor revocations: what they revoke counts no longer, here at once and at other sites soon."""
    return _anchored(call, revoke=_tokens(request.token, "Token"))


@behavior("/dms/cap/remove", request=CapRemoveRequest, response=CapAnchorResponse, changes=True)
def cap_remove(call: Call, request: CapRemoveRequest) -> CapAnchorResponse:
    """Take a token out of those whose holders are accepted here, or out of those given to this node."""
    row = Anchor.objects.filter(context=CONTEXT, kind=request.kind, key=request.key).first()
    if row is None:
        raise not_found(f"{request.kind} anchor", request.key)
    # By the token as it stands there: one that has expired goes, too.
    token = (Token.parse(row.token),)
    if request.kind == "require":
        contexts.anchors_remove(CONTEXT, require=token)
    else:
        contexts.anchors_remove(CONTEXT, provide=token)
    return CapAnchorResponse()


@behavior("/dms/cap/grant", request=CapGrantRequest, response=CapTokensResponse, changes=True)
def cap_grant(call: Call, request: CapGrantRequest) -> CapTokensResponse:
    """Let a DID invoke paths here, by the node itself; the token is kept, its holder need not bring it along."""
    if not call.is_root:
        raise Refusal(
            "not_authorized",
            "only a root of this node grants in its name",
            status=403,
            hint="hand on what you hold yourself: /dms/cap/delegate",
        )
    return _given(call.node.identity, request, services.grant)


@behavior("/dms/cap/delegate", request=CapGrantRequest, response=CapTokensResponse, changes=True)
def cap_delegate(call: Call, request: CapGrantRequest) -> CapTokensResponse:
    """Hand on what the invoker holds here, or a part of it: the token rests on hers, and ends with it."""
    return _given(call.invoker, request, services.delegate)


@behavior("/dms/cap/revoke", request=CapRevokeRequest, response=CapTokensResponse, changes=True)
def cap_revoke(call: Call, request: CapRevokeRequest) -> CapTokensResponse:
    """Take back a token that was issued here, at once and for good, with whatever was derived from it."""
    row = token_row(request.id, request.key)
    if not call.is_root and row.issuer != call.invoker.did:
        raise not_found("token", request.key or request.id)
    return CapTokensResponse(token=TokenList((services.revoke(row),)).document())


@behavior("/dms/cap/renew", request=CapRevokeRequest, response=CapTokensResponse, changes=True)
def cap_renew(call: Call, request: CapRevokeRequest) -> CapTokensResponse:
    """Give again what a token issued here gives, for as long as it was given; the earlier one runs out."""
    row = token_row(request.id, request.key)
    if not call.is_root and row.issuer != call.invoker.did:
        raise not_found("token", request.key or request.id)
    by = None if row.issuer == call.node.identity.did or call.is_root else call.invoker
    return CapTokensResponse(token=TokenList((grants.renew(row, by),)).document())


@behavior("/dms/cap/check", request=CapCheckRequest, response=CapCheckResponse)
def cap_check(call: Call, request: CapCheckRequest) -> CapCheckResponse:
    """Say whether a DID may invoke a path, on which chain that rests, or what is missing and what would add it."""
    if not call.is_root and request.who != call.invoker.did:
        raise Refusal(
            "not_authorized",
            "only a root of this node asks about somebody else",
            status=403,
            hint=f"ask about yourself: {call.invoker.did}",
        )
    return answered(request.who, request.can, request.on)


def answered(who: str, can: str, on: str = "", name: str = "") -> CapCheckResponse:
    """Answer the question from the rows of this site, by what the context `name` trusts: empty, the node's own."""
    known_key(who)
    now_ns = time.time_ns()
    context = contexts.context_get(name or CONTEXT)
    if on in ("", context.did):
        held = tokens_of(who)
        if name and (mine := _context_of(who)):
            held += mine.anchors.provide
        answer = checking.here(context, who, can, held, now_ns, f"-c {name} " if name else "")
        if not answer.allowed and not name and (words := revoked_words(who, can)):
            answer = replace(answer, why=f"{answer.why}; {words}")
    else:
        known_key(on, "On")
        answer = checking.there(_context_of(who) or context, who, can, on, now_ns)
    chain = links(answer.chain[0], now_ns, context.anchors.revoked) if answer.chain else ()
    return CapCheckResponse(
        allowed=answer.allowed,
        why=answer.why,
        chain=[link.document() for link in chain],
        missing=answer.missing,
        commands=list(answer.commands),
    )


def _context_of(did: str) -> CapabilityContext | None:
    found = (contexts.context_get(name) for name in contexts.context_names())
    return next((one for one in found if one.did == did), None)


def known_key(did: str, field: str = "Who") -> None:
    """Refuse what is no DID that carries its key."""
    try:
        key_of(did)
    except DidFault as fault:
        hint = "`./dms key did NAME` prints one"
        raise Refusal(
            "invalid_did", fault.detail, hint=hint, reasons=(Reason("invalid_did", fault.detail, field),)
        ) from None


def token_row(number: int, key: str) -> TokenRow:
    """Return the token with this number or key that this node has issued. Raises Refusal."""
    row = (rows_of(key) if key else TokenRow.objects.filter(pk=number)).first()
    if row is None:
        refusal = not_found("token", key or str(number))
        refusal.hint = "`./dms cap list` shows what this node has granted; only its issuer revokes a token"
        raise refusal
    return row


def _given(giver: Identity, request: CapGrantRequest, give: Callable[..., Token]) -> CapTokensResponse:
    known_key(request.subject, "Subject")
    for path in (*request.capabilities, *request.topics):
        check_path(path, "capability")
    lifetime = timedelta(seconds=request.lifetime_s)
    token = give(
        giver,
        request.subject,
        request.capabilities,
        lifetime,
        topics=request.topics,
        depth=request.depth,
    )
    return CapTokensResponse(token=TokenList((token,)).document())


def _anchored(
    call: Call, *, require: Iterable[Token] = (), provide: Iterable[Token] = (), revoke: Iterable[Token] = ()
) -> CapAnchorResponse:
    _may_trust(call, require)
    contexts.anchors_add(CONTEXT, require=require, provide=provide, revoke=revoke)
    return CapAnchorResponse()


def _may_trust(call: Call, require: Iterable[Token]) -> None:
    """Refuse to trust others for what the invoker may not do herself: it would be a way to give it to herself."""
    if call.is_root:
        return
    wanted = dict.fromkeys(path for token in require for path in token.capabilities)
    lacking = [path for path in wanted if not services.authorize(call.invoker, path).allowed]
    if lacking:
        raise Refusal(
            "not_authorized",
            f"you cannot let others do what you may not do yourself: {', '.join(lacking)}",
            status=403,
            hint="ask a root of this node",
            reasons=tuple(Reason("capability", f"you do not hold {path}", "Require") for path in lacking),
        )


def _tokens(document: dict[str, Any], field: str) -> tuple[Token, ...]:
    try:
        return TokenList.of_any(document).tokens
    except Refusal as fault:
        fault.reasons = (Reason(fault.code, fault.detail, field),)
        raise

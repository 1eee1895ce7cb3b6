"""The four lists of a capability context as one immutable value: roots, require, provide, revoke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from capabilities.chains import ChainCache, subsumes, verify
from capabilities.did import check
from capabilities.gojson import members
from capabilities.refusal import Refusal
from capabilities.tokenform import Token, TokenFault, TokenList, bad, did_document, did_parse

_SAVED = frozenset({"did", "roots", "require", "provide", "revoke"})


@dataclass(frozen=True, slots=True)
class Anchors:
    """`revoked` maps the key of a revoked token to its revocation, or to the key when only that is known."""

    roots: frozenset[str] = frozenset()
    require: tuple[Token, ...] = ()
    provide: tuple[Token, ...] = ()
    revoked: Mapping[str, str | Token] = field(default_factory=dict)

    def added(
        self,
        roots: tuple[str, ...],
        require: tuple[Token, ...],
        provide: tuple[Token, ...],
        revoke: tuple[Token, ...],
        now_ns: int,
        cache: ChainCache,
    ) -> Anchors:
        """Return these anchors and the new ones, each verified; what no longer verifies is left out."""
        for did in roots:
            if not check(did):
                raise TokenFault("bad_token", "an empty DID cannot be a root", check="root")
        for token in revoke:
            if token.action != "revoke":
                raise TokenFault(
                    "bad_token", f"verify token: {token.key} is a {token.action} token, no revocation"
                )
            _verified(token, now_ns, (), cache)
        revoked = {**self.revoked, **{token.key: token for token in revoke}}
        for token in (*require, *provide):
            if token.action != "delegate":
                raise TokenFault(
                    "bad_token", f"verify token: an anchor delegates, {token.key} is a {token.action} token"
                )
            _verified(token, now_ns, revoked, cache)

        def good(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            return tuple(token for token in tokens if _verifies(token, now_ns, revoked, cache))

        return Anchors(
            self.roots | set(roots),
            good(_merged(self.require, require)),
            good(_merged(self.provide, provide)),
            revoked,
        )

    def removed(
        self,
        roots: tuple[str, ...],
        require: tuple[Token, ...],
        provide: tuple[Token, ...],
        revoke: tuple[Token | str, ...],
    ) -> Anchors:
        """Return these anchors without the given ones."""
        keys = {entry if isinstance(entry, str) else entry.key for entry in revoke}
        return Anchors(
            self.roots - set(roots),
            _without(self.require, require),
            _without(self.provide, provide),
            {key: entry for key, entry in self.revoked.items() if key not in keys},
        )

    def unexpired(self, now_ns: int) -> Anchors:
        """Return these anchors without the tokens that have expired."""
        return Anchors(
            self.roots,
            tuple(token for token in self.require if _lasts(token, now_ns)),
            tuple(token for token in self.provide if _lasts(token, now_ns)),
            {
                key: entry
                for key, entry in self.revoked.items()
                if isinstance(entry, str) or entry.expires_ns >= now_ns
            },
        )

    def document(self, did: str) -> dict[str, Any]:
        """Return the saved form of a context (a `.cap` file); bare keys of revoked tokens have no place there."""
        revocations = tuple(entry for entry in self.revoked.values() if isinstance(entry, Token))
        return {
            "did": did_document(did),
            "roots": [did_document(root) for root in sorted(self.roots)],
            "require": TokenList(self.require).document(),
            "provide": TokenList(self.provide).document(),
            "revoke": TokenList(revocations).document(),
        }


def parse_context(document: Any, now_ns: int) -> tuple[str, Anchors]:
    """Return the DID and the unexpired anchors of a saved context; TokenFault at what is malformed.

    Member names are taken in any case, and each list may be missing: older files differ in both.
    """
    try:
        saved = members(document, _SAVED, "context")
        roots = saved.get("roots") or []
        if type(roots) is not list:
            raise bad("roots is not a list")
        did = did_parse(saved.get("did"), "did")
        trusted = frozenset(filter(None, (did_parse(root, "roots") for root in roots)))
        lists = {
            name: TokenList.of_document(saved.get(name)).tokens for name in ("require", "provide", "revoke")
        }
    except TokenFault:
        raise
    except Refusal as fault:
        raise bad(fault.detail, fault.hint) from None
    revoked: dict[str, str | Token] = {token.key: token for token in lists["revoke"]}
    return did, Anchors(trusted, lists["require"], lists["provide"], revoked).unexpired(now_ns)


def _lasts(token: Token, now_ns: int) -> bool:
    return all(link.expires_ns >= now_ns for link in token.links())


def _verified(token: Token, now_ns: int, revoked: Iterable[str], cache: ChainCache) -> None:
    try:
        verify(token, now_ns=now_ns, revoked=frozenset(revoked), cache=cache)
    except TokenFault as fault:
        raise TokenFault(
            fault.code, f"verify token: {fault.detail}", check=fault.check, hint=fault.hint
        ) from None


def _verifies(token: Token, now_ns: int, revoked: Iterable[str], cache: ChainCache) -> bool:
    try:
        _verified(token, now_ns, revoked, cache)
    except TokenFault:
        return False
    return True


def _merged(held: tuple[Token, ...], fresh: tuple[Token, ...]) -> tuple[Token, ...]:
    """Return both, without those that another one makes superfluous."""
    kept: list[Token] = []
    for token in (*held, *fresh):
        if any(subsumes(other, token) for other in kept):
            continue
        kept = [other for other in kept if not subsumes(token, other)] + [token]
    return tuple(kept)


def _without(held: tuple[Token, ...], gone: tuple[Token, ...]) -> tuple[Token, ...]:
    keys = {token.key for token in gone}
    return tuple(token for token in held if token.key not in keys)

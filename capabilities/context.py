"""A capability context: whom we trust, what we were given, and whether a message may do what it asks.

Pure state. The anchors are four lists (roots, require, provide, revoke); a second, transient store holds the
tokens consumed from messages, by subject. The clock is always an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from capabilities.anchors import Anchors
from capabilities.chains import (
    ChainCache,
    allow_action,
    allow_broadcast,
    allow_invocation,
    anchored,
    implies,
    verify,
)
from capabilities.minting import Minting
from capabilities.recent import Recent
from capabilities.tokenform import Token, TokenFault, TokenList

# Both remember only what a digest settles for ever, so that every context of the process may share them.
KNOWN_CHAINS = ChainCache()
_known_lists: Recent[bytes, tuple[Token, ...]] = Recent(512)

# Anybody can sign tokens in her own name; the store forgets the oldest rather than grow.
SUBJECTS_MAX, TOKENS_PER_SUBJECT_MAX = 4096, 64

Allows = Callable[[Token, str], bool]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, why or why not in a sentence, and the token it rests on, if any.

    `token_keys` are the keys of that token's whole chain, from the token itself to its root.
    """

    allowed: bool
    why: str
    token_keys: tuple[str, ...] = ()
    token: Token | None = field(default=None, compare=False, repr=False)


class CapabilityContext(Minting):
    """The context of one DID. `require` and `provide` are tokens, `revoked` keys or revocation tokens."""

    def __init__(
        self,
        did: str,
        roots: Iterable[str] = (),
        require: Iterable[Token] = (),
        provide: Iterable[Token] = (),
        revoked: Iterable[str | Token] = (),
        *,
        cache: ChainCache = KNOWN_CHAINS,
    ) -> None:
        self.did = did
        self.cache = cache
        self.anchors = Anchors(
            frozenset(roots),
            tuple(require),
            tuple(provide),
            {entry if isinstance(entry, str) else entry.key: entry for entry in revoked},
        )
        self._tokens: dict[str, dict[str, Token]] = {}
        self._lock = Lock()

    @property
    def roots(self) -> frozenset[str]:
        """The DIDs trusted absolutely."""
        return self.anchors.roots

    def add_roots(
        self,
        *,
        roots: Iterable[str] = (),
        require: Iterable[Token] = (),
        provide: Iterable[Token] = (),
        revoke: Iterable[Token] = (),
        now_ns: int,
    ) -> None:
        """Add anchors; TokenFault at the first token that does not verify, and then nothing is added."""
        self.anchors = self.anchors.added(
            tuple(roots), tuple(require), tuple(provide), tuple(revoke), now_ns, self.cache
        )

    def remove_roots(
        self,
        *,
        roots: Iterable[str] = (),
        require: Iterable[Token] = (),
        provide: Iterable[Token] = (),
        revoke: Iterable[Token | str] = (),
    ) -> None:
        """Remove anchors: roots by DID, tokens and revocations by key."""
        self.anchors = self.anchors.removed(tuple(roots), tuple(require), tuple(provide), tuple(revoke))

    def list_roots(self, now_ns: int) -> Anchors:
        """Return the anchors that have not expired."""
        return self.anchors.unexpired(now_ns)

    def trusts(self, token: Token) -> bool:
        """Return whether `token` is anchored at ourselves or a root, or a require anchor allows it."""
        anchors = self.anchors
        issuers = token.issuers
        return (
            self.did in issuers
            or not anchors.roots.isdisjoint(issuers)
            or any(allow_action(anchor, token) for anchor in anchors.require)
        )

    def consume(self, origin_did: str, blob: bytes, now_ns: int) -> tuple[Token, ...]:
        """Keep the tokens in `blob` that verify and that somebody we know (or the sender) stands behind.

        The others are skipped: a bad token is no error. TokenFault when the blob is too big or no token list.
        """
        kept = self._accepted(origin_did, blob, now_ns)[0]
        with self._lock:
            for token in kept:
                held = self._tokens.setdefault(token.subject, {})
                held[token.key] = token
                _bounded(held, TOKENS_PER_SUBJECT_MAX)
                _bounded(self._tokens, SUBJECTS_MAX)
        return kept

    def require(
        self, subject_id: str, audience_id: str, capabilities: Iterable[str], now_ns: int
    ) -> tuple[str, ...]:
        """Return the keys of the tokens that let `subject_id` invoke any of `capabilities`, or TokenFault."""
        return self._require(
            subject_id,
            tuple(capabilities),
            now_ns,
            lambda t, c: allow_invocation(t, subject_id, audience_id, c),
        )

    def require_broadcast(
        self, subject_id: str, topic: str, capabilities: Iterable[str], now_ns: int
    ) -> tuple[str, ...]:
        """Return the keys of the tokens that let `subject_id` broadcast any of `capabilities`, or TokenFault."""
        return self._require(
            subject_id, tuple(capabilities), now_ns, lambda t, c: allow_broadcast(t, subject_id, topic, c)
        )

    def discard(self, blob: bytes) -> None:
        """Forget the consumed tokens that stand in `blob`."""
        try:
            listed = _parsed(blob, [])
        except TokenFault:
            return
        with self._lock:
            for token in listed:
                held = self._tokens.get(token.subject)
                if held is not None and held.pop(token.key, None) is not None and not held:
                    del self._tokens[token.subject]

    def sweep(self, now_ns: int) -> int:
        """Forget the consumed tokens that have expired or been revoked; return how many."""
        with self._lock:
            before = sum(map(len, self._tokens.values()))
            self._tokens = {
                subject: kept
                for subject, held in self._tokens.items()
                if (kept := {key: token for key, token in held.items() if self._counts(token, now_ns)})
            }
            return before - sum(map(len, self._tokens.values()))

    def admit(
        self,
        origin_did: str,
        subject_id: str,
        audience_id: str,
        capabilities: Iterable[str],
        blob: bytes,
        now_ns: int,
    ) -> Decision:
        """Decide on one direct message by the tokens it brings and those consumed before; store nothing."""
        return self._admit(
            origin_did,
            subject_id,
            tuple(capabilities),
            blob,
            now_ns,
            lambda token, path: allow_invocation(token, subject_id, audience_id, path),
        )

    def admit_broadcast(
        self,
        origin_did: str,
        subject_id: str,
        topic: str,
        capabilities: Iterable[str],
        blob: bytes,
        now_ns: int,
    ) -> Decision:
        """Decide on one broadcast, as `admit` does."""
        return self._admit(
            origin_did,
            subject_id,
            tuple(capabilities),
            blob,
            now_ns,
            lambda token, path: allow_broadcast(token, subject_id, topic, path),
        )

    def _provided(self) -> tuple[Token, ...]:
        return self.anchors.provide

    def _consumed_for(self, subject: str) -> tuple[Token, ...]:
        with self._lock:
            return tuple(self._tokens.get(subject, {}).values())

    def _counts(self, token: Token, now_ns: int) -> bool:
        return self._flaw(token, now_ns) is None

    def _usable(
        self, subject: str, capabilities: tuple[str, ...], now_ns: int, allows: Allows
    ) -> Iterator[Token]:
        """Yield the consumed tokens of `subject`; what covers nothing of it is not worth verifying."""
        for token in self._consumed_for(subject):
            if not any(allows(token, path) for path in capabilities) or self._counts(token, now_ns):
                yield token

    def _flaw(self, token: Token, now_ns: int) -> TokenFault | None:
        try:
            verify(token, now_ns=now_ns, revoked=self.anchors.revoked, cache=self.cache)
        except TokenFault as fault:
            return fault
        return None

    def _accepted(self, origin_did: str, blob: bytes, now_ns: int) -> tuple[tuple[Token, ...], list[str]]:
        """Return the tokens in `blob` worth keeping and what is wrong with each of the others."""
        if not blob:
            return (), []
        flaws: list[str] = []
        digest = hashlib.sha256(blob).digest()
        listed = _known_lists.get(digest)
        fresh = listed is None
        if listed is None:
            listed = _parsed(blob, flaws)
        kept = []
        for token in listed:
            if not (anchored(token, origin_did) or self.trusts(token)):
                flaws.append(f"the chain from {token.issuer} is anchored at nobody this node knows")
            elif (flaw := self._flaw(token, now_ns)) is not None:
                flaws.append(flaw.detail)
            else:
                kept.append(token)
        if fresh and kept and not flaws:
            _known_lists.put(digest, listed)
        return tuple(kept), flaws

    def _search(
        self, tokens: Iterable[Token], capabilities: tuple[str, ...], allows: Allows
    ) -> tuple[Token | None, list[str]]:
        flaws: list[str] = []
        for token in tokens:
            if not any(allows(token, path) for path in capabilities):
                flaws.append(f"the {token.action} token for {token.subject} does not cover it")
            elif not self.trusts(token):
                flaws.append(f"the token of {token.issuer} is anchored at nobody this node trusts for it")
            else:
                return token, flaws
        return None, flaws

    def _require(
        self, subject_id: str, capabilities: tuple[str, ...], now_ns: int, allows: Allows
    ) -> tuple[str, ...]:
        found, flaws = self._search(
            self._usable(subject_id, capabilities, now_ns, allows), capabilities, allows
        )
        if found is None:
            raise TokenFault(
                "not_authorized",
                f"not authorized: {_why_not(subject_id, capabilities, flaws)}",
                check="capability",
                hint=_hint(capabilities),
            )
        return tuple(link.key for link in found.links())

    def _admit(
        self,
        origin_did: str,
        subject_id: str,
        capabilities: tuple[str, ...],
        blob: bytes,
        now_ns: int,
        allows: Allows,
    ) -> Decision:
        try:
            brought, flaws = self._accepted(origin_did, blob, now_ns)
        except TokenFault as fault:
            return Decision(False, fault.detail)
        found, more = self._search(brought, capabilities, allows)
        if found is None and self._tokens:
            found, _ = self._search(
                self._usable(subject_id, capabilities, now_ns, allows), capabilities, allows
            )
        if found is None:
            return Decision(False, _why_not(subject_id, capabilities, flaws + more))
        return _resting_on(found)


def permits(
    context: CapabilityContext, subject_did: str, capability: str, tokens: Iterable[Token], now_ns: int
) -> Decision:
    """Decide whether `subject_did` may invoke `capability` inside this site, given the `tokens` it holds.

    Ourselves and roots may do everything. Anybody else needs a delegate or invoke token in its name that
    verifies, is not aimed at another audience, covers the capability, and that we trust.
    """
    if subject_did == context.did:
        return Decision(True, "this node itself")
    if subject_did in context.roots:
        return Decision(True, "a root of this node")
    flaws: list[str] = []
    for token in tokens:
        if token.subject != subject_did or token.action not in ("delegate", "invoke"):
            continue
        if not any(implies(path, capability) for path in token.capabilities):
            flaws.append(f"a token covers only {', '.join(token.capabilities) or 'nothing'}")
        elif token.audience and token.audience != context.did:
            flaws.append(f"a token is for use at {token.audience}")
        elif (flaw := context._flaw(token, now_ns)) is not None:
            flaws.append(flaw.detail)
        elif not context.trusts(token):
            flaws.append(f"the token of {token.issuer} is anchored at nobody this node trusts for it")
        else:
            return _resting_on(token)
    return Decision(False, _why_not(subject_did, (capability,), flaws))


def _resting_on(token: Token) -> Decision:
    return Decision(True, f"a token of {token.issuer}", tuple([link.key for link in token.links()]), token)


def _parsed(blob: bytes, flaws: list[str]) -> tuple[Token, ...]:
    """Return the well-formed tokens of `blob`; what is wrong with the others is added to `flaws`."""
    listed, faults = TokenList.salvage(blob)
    flaws.extend(fault.detail for fault in faults)
    return listed.tokens


def _bounded(store: dict[str, Any], most: int) -> None:
    if len(store) > most:
        del store[next(iter(store))]


def _hint(capabilities: tuple[str, ...]) -> str:
    return f"A token for {' or '.join(capabilities)}, issued by this node or by somebody it trusts, would do."


def _why_not(subject: str, capabilities: tuple[str, ...], flaws: list[str]) -> str:
    wanted = " or ".join(capabilities) or "an empty list of capabilities"
    why = f"{subject} holds no token for {wanted} that counts here"
    return f"{why}: {'; '.join(dict.fromkeys(flaws))}" if flaws else why

"""Whether a token counts: implication, chain verification, and the predicates the contexts decide with."""

from __future__ import annotations

from collections.abc import Container, Iterable

from capabilities.did import DidFault, key_of
from capabilities.keys import KeyType, PublicKey
from capabilities.numbers import NUMBERS
from capabilities.recent import Recent
from capabilities.tokenform import Token, TokenFault


def implies(capability: str, other: str) -> bool:
    """Return whether holding `capability` is as good as holding `other` (topics follow the same rule).

    A path implies itself and what lies below it; `/` implies everything; nothing else does.
    """
    return bool(capability) and (
        capability == other or capability == "/" or other.startswith(capability + "/")
    )


def covered(paths: tuple[str, ...], wanted: Iterable[str]) -> bool:
    """Return whether each of `wanted` is implied by one of `paths`."""
    for item in wanted:
        for path in paths:
            if implies(path, item):
                break
        else:
            return False
    return True


class ChainCache:
    """Tokens whose signatures and links have been found good, by digest; the least used are forgotten.

    Only what never changes is remembered. Expiry, depth and revocation are looked at every time, hence a
    revocation takes effect at once. Safe to share between threads.
    """

    def __init__(self, size: int = 16_384) -> None:
        self._known: Recent[bytes, bool] = Recent(size)

    def __len__(self) -> int:
        return len(self._known)

    def knows(self, digest: bytes) -> bool:
        """Return whether the token with this digest has been found good."""
        return self._known.get(digest) is not None

    def add(self, digest: bytes) -> None:
        """Remember a good token."""
        self._known.put(digest, True)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()


def _refused(check: str, detail: str, hint: str = "") -> TokenFault:
    return TokenFault("not_authorized", f"not authorized: {detail}", check=check, hint=hint)


def verify(
    token: Token, *, now_ns: int, revoked: Container[str] = (), cache: ChainCache | None = None
) -> None:
    """Return when `token` and its whole chain count at `now_ns`; TokenFault names the check that failed.

    `revoked` holds the keys of revoked tokens. That the token is anchored anywhere is for the context to say.
    """
    links = tuple(token.links())
    for link in links:
        if link.expires_ns < now_ns:
            raise TokenFault(
                "capability_expired",
                f"capability expired: token of {link.issuer} for {link.subject} at {link.expires_ns} ns, "
                f"it is {now_ns} ns here",
                check="expired",
                hint="Ask its issuer for a new one, or set the clock.",
            )
    if token.action == "revoke":
        links = (token,)
    else:
        for position, link in enumerate(links):
            if link.depth and position > link.depth:
                raise _refused(
                    "depth",
                    f"max token depth exceeded: {link.issuer} allows {link.depth} more links, not {position}",
                )
            if link.key in revoked:
                raise _refused("revoked", f"the token {link.key} is revoked", "Ask its issuer for a new one.")
    fresh = []
    for link in links:
        if cache is not None and cache.knows(link.digest):
            break
        fresh.append(link)
    for link in fresh:
        if link.action != "revoke" and link.chain is not None:
            check_link(link, link.chain)
    if fresh:
        # Over all of it, known or not: whether a token counts must not depend on what was seen before.
        _check_wallets(links)
    for link in reversed(fresh):
        check_signature(link)
        if cache is not None:
            cache.add(link.digest)


def check_signature(token: Token) -> None:
    """Return when the issuer signed the token; TokenFault else."""
    key = _key_of_issuer(token)
    if key.type is KeyType.Eth:
        _check_wallets((token,))
    if not key.verify(token.signed_bytes(), token.signature):
        raise _refused("signature", f"signature verification failed on the token of {token.issuer}")


def _key_of_issuer(token: Token) -> PublicKey:
    try:
        return key_of(token.issuer)
    except DidFault as fault:
        raise _refused("issuer", f"{token.issuer} has no key to check: {fault.detail}") from None


def _check_wallets(links: Iterable[Token]) -> None:
    """Refuse more by Ethereum keys than is hashed for a stranger."""
    signed = (len(link.signed_bytes()) for link in links if _key_of_issuer(link).type is KeyType.Eth)
    if (size := sum(signed)) > NUMBERS.token_wallet_max_bytes:
        raise _refused(
            "size",
            f"Ethereum keys signed {size} bytes of the chain, {NUMBERS.token_wallet_max_bytes} are allowed",
            "Fewer paths, or a shorter chain.",
        )


def check_link(child: Token, parent: Token) -> None:
    """Return when `parent` carries `child`: narrower, not longer, to whom it was given; TokenFault else."""
    if parent.action != "delegate":
        raise _refused("chain_action", f"a chain is of delegations, this one holds an `{parent.action}`")
    if parent.expires_ns < child.expires_ns:
        raise _refused("chain_expiry", "a token expires after the delegation it rests on")
    if child.issuer != parent.subject:
        raise _refused("chain_issuer", f"{child.issuer} delegates what was given to {parent.subject}")
    if parent.audience and parent.audience != child.audience:
        raise _refused("chain_audience", f"the audience {parent.audience} may not be changed")
    for topic in child.topics:
        if not covered(parent.topics, (topic,)):
            raise _refused("chain_topic", f"the delegation does not cover the topic {topic}")
    for capability in child.capabilities:
        if not covered(parent.capabilities, (capability,)):
            raise _refused("chain_capability", f"the delegation does not cover {capability}")


def anchored(token: Token, did: str) -> bool:
    """Return whether `did` issued any link of the chain."""
    return did in token.issuers


def self_signed(token: Token, did: str) -> bool:
    """Return whether the chain begins with `did`."""
    *_, root = token.links()
    return root.issuer == did


def _for_audience(token: Token, audience: str) -> bool:
    return not token.audience or token.audience == audience


def allow_invocation(token: Token, subject: str, audience: str, capability: str) -> bool:
    """Return whether `token` lets `subject` invoke `capability` at `audience`."""
    return (
        token.action == "invoke"
        and token.subject == subject
        and _for_audience(token, audience)
        and covered(token.capabilities, (capability,))
    )


def allow_broadcast(token: Token, subject: str, topic: str, capability: str) -> bool:
    """Return whether `token` lets `subject` broadcast `capability` on `topic`."""
    return (
        token.action == "broadcast"
        and token.subject == subject
        and not token.audience
        and covered(token.topics, (topic,))
        and covered(token.capabilities, (capability,))
    )


def allow_delegation(
    token: Token,
    *,
    issuer: str,
    audience: str,
    topics: Iterable[str],
    expires_ns: int,
    capabilities: Iterable[str],
    action: str = "delegate",
) -> bool:
    """Return whether `issuer` can rest a token of `action` on `token`.

    A further delegation must leave room for one more link after it, hence two; the other actions need one.
    """
    if token.action != "delegate" or token.subject != issuer or not _for_audience(token, audience):
        return False
    room = 2 if action == "delegate" else 1
    for position, link in enumerate(token.links()):
        if link.expires_ns < expires_ns or (link.depth and position + room > link.depth):
            return False
    return covered(token.topics, topics) and covered(token.capabilities, capabilities)


def allow_action(require: Token, token: Token) -> bool:
    """Return whether the require anchor `require` accepts the presented `token`.

    The anchor's subject must have issued a link of the chain; the deepest such link, counted from the token
    itself as 0, may not lie beyond the anchor's depth.
    """
    if require.action != "delegate" or require.subject not in token.issuers:
        return False
    for link in require.links():
        if link.expires_ns < token.expires_ns:
            return False
    if require.depth:
        positions = [at for at, link in enumerate(token.links()) if link.issuer == require.subject]
        if positions[-1] > require.depth:
            return False
    if require.audience and require.audience != token.audience:
        return False
    return covered(require.topics, token.topics) and covered(require.capabilities, token.capabilities)


def subsumes(token: Token, other: Token) -> bool:
    """Return whether `token` makes `other` superfluous: same parties, at least as much, for as long."""
    return (
        (token.action, token.issuer, token.subject) == (other.action, other.issuer, other.subject)
        and token.audience == other.audience
        and token.expires_ns >= other.expires_ns
        and (not token.depth or 0 < other.depth <= token.depth)
        and token.chain == other.chain
        and covered(token.topics, other.topics)
        and covered(token.capabilities, other.capabilities)
    )

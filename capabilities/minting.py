"""The giving side of a capability context: grants, delegations, and the tokens that go with a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from capabilities.chains import allow_delegation, anchored
from capabilities.did import did_of
from capabilities.keys import Signer
from capabilities.tokenform import Token, TokenFault, TokenList, issue, revoke

SelfSign = Literal["no", "also", "only"]


class Minting:
    """What a context signs. Each method takes the private key of the context's DID and leaves no trace."""

    did: str

    def _provided(self) -> tuple[Token, ...]:
        """Return the delegations we hold for good."""
        raise NotImplementedError

    def _consumed_for(self, subject: str) -> tuple[Token, ...]:
        """Return the tokens from messages that name `subject`."""
        raise NotImplementedError

    def _own(self, key: Signer) -> Signer:
        if did_of(key.public) != self.did:
            raise TokenFault(
                "bad_context",
                f"bad context: the key belongs to {did_of(key.public)}, the context to {self.did}",
                hint="Sign with the key of the context.",
            )
        return key

    def grant(
        self,
        key: Signer,
        *,
        subject: str,
        capabilities: Iterable[str],
        expires_ns: int,
        action: str = "delegate",
        audience: str = "",
        topics: Iterable[str] = (),
        depth: int = 0,
    ) -> Token:
        """Return a self-signed token without a chain."""
        return issue(
            self._own(key),
            action=action,
            subject=subject,
            capabilities=capabilities,
            expires_ns=expires_ns,
            audience=audience,
            topics=topics,
            depth=depth,
        )

    def delegate(
        self,
        key: Signer,
        *,
        subject: str,
        capabilities: Iterable[str],
        expires_ns: int = 0,
        audience: str = "",
        topics: Iterable[str] = (),
        depth: int = 0,
        self_sign: SelfSign = "no",
    ) -> tuple[Token, ...]:
        """Return the delegations to `subject`: one for each provide anchor that covers all of it.

        `expires_ns` 0 takes the anchor's. `self_sign`: `no` chained ones only (TokenFault when there is
        none), `also` a self-signed one too, `only` that one. Nothing asked, nothing returned.
        """
        capabilities, topics = tuple(capabilities), tuple(topics)
        if not capabilities:
            return ()
        self._own(key)
        minted: list[Token] = []
        if self_sign != "only":
            for anchor in self._provided():
                minted += self._chained(
                    key, anchor, "delegate", subject, audience, topics, expires_ns, capabilities, depth
                )
        if self_sign != "no":
            if not expires_ns:
                raise TokenFault(
                    "bad_token", "a self-signed token needs an expiry of its own", check="expiry"
                )
            minted.append(
                self.grant(
                    key,
                    subject=subject,
                    capabilities=capabilities,
                    expires_ns=expires_ns,
                    audience=audience,
                    topics=topics,
                    depth=depth,
                )
            )
        if not minted:
            raise TokenFault(
                "not_authorized",
                f"not authorized: no provide anchor covers {', '.join(capabilities + topics)}",
                check="provide",
                hint="All of it must come from one anchor with links to spare and a later expiry.",
            )
        return tuple(minted)

    def revoke(self, key: Signer, token: Token) -> Token:
        """Return the revocation of a token that we issued."""
        return revoke(self._own(key), token)

    def provide(
        self,
        key: Signer,
        *,
        target_did: str,
        own_id: str,
        target_id: str,
        expires_ns: int,
        invoke: Iterable[str],
        delegate: Iterable[str] = (),
    ) -> bytes:
        """Return the tokens that go with a direct message, encoded.

        `own_id` and `target_id` are did:key of the two actors' ids. The invoke tokens rest on what the target
        gave us in earlier messages, on our provide anchors, and on ourselves; the `delegate` paths (where the
        reply goes) become a delegation to the target, for one link.
        """
        invoke, delegate = tuple(invoke), tuple(delegate)
        if not invoke and not delegate:
            raise TokenFault("not_authorized", "no capabilities", check="provide")
        if not invoke:
            raise TokenFault("not_authorized", "no invocation capabilities", check="provide")
        given = [token for token in self._consumed_for(self.did) if anchored(token, target_did)]
        minted = self._all(
            key, (*given, *self._provided()), "invoke", own_id, target_id, (), expires_ns, invoke
        )
        if delegate:
            minted.append(
                self.grant(
                    key,
                    subject=target_did,
                    capabilities=delegate,
                    expires_ns=expires_ns,
                    audience=own_id,
                    depth=1,
                )
            )
        return TokenList(tuple(minted)).encode()

    def provide_broadcast(
        self, key: Signer, *, own_id: str, topic: str, expires_ns: int, capabilities: Iterable[str]
    ) -> bytes:
        """Return the tokens that go with a broadcast on `topic`, encoded."""
        capabilities = tuple(capabilities)
        if not capabilities:
            raise TokenFault("not_authorized", "no capabilities", check="provide")
        minted = self._all(key, self._provided(), "broadcast", own_id, "", (topic,), expires_ns, capabilities)
        return TokenList(tuple(minted)).encode()

    def _all(
        self,
        key: Signer,
        parents: Iterable[Token],
        action: str,
        subject: str,
        audience: str,
        topics: tuple[str, ...],
        expires_ns: int,
        capabilities: tuple[str, ...],
    ) -> list[Token]:
        minted: list[Token] = []
        for parent in parents:
            minted += self._chained(
                key, parent, action, subject, audience, topics, expires_ns, capabilities, 0
            )
        minted.append(
            self.grant(
                key,
                action=action,
                subject=subject,
                capabilities=capabilities,
                expires_ns=expires_ns,
                audience=audience,
                topics=topics,
            )
        )
        return minted

    def _chained(
        self,
        key: Signer,
        parent: Token,
        action: str,
        subject: str,
        audience: str,
        topics: tuple[str, ...],
        expires_ns: int,
        capabilities: tuple[str, ...],
        depth: int,
    ) -> tuple[Token, ...]:
        """Return the token resting on `parent`, or nothing when `parent` does not carry it."""
        expires_ns = expires_ns or min(link.expires_ns for link in parent.links())
        if not allow_delegation(
            parent,
            issuer=self.did,
            audience=audience,
            topics=topics,
            expires_ns=expires_ns,
            capabilities=capabilities,
            action=action,
        ):
            return ()
        token = issue(
            self._own(key),
            action=action,
            subject=subject,
            capabilities=capabilities,
            expires_ns=expires_ns,
            audience=audience,
            topics=topics,
            depth=depth,
            chain=parent,
        )
        return (token,)

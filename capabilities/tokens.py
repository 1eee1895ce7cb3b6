"""Capability tokens, as the other rooms use them: form (`tokenform`) and judgement (`chains`) together."""

from capabilities.chains import (
    ChainCache,
    allow_action,
    allow_broadcast,
    allow_delegation,
    allow_invocation,
    anchored,
    covered,
    implies,
    self_signed,
    subsumes,
    verify,
)
from capabilities.tokenform import ACTIONS, NONCE_BYTES, Token, TokenFault, TokenList, issue, revoke

__all__ = [
    "ACTIONS",
    "NONCE_BYTES",
    "ChainCache",
    "Token",
    "TokenFault",
    "TokenList",
    "allow_action",
    "allow_broadcast",
    "allow_delegation",
    "allow_invocation",
    "anchored",
    "covered",
    "implies",
    "issue",
    "revoke",
    "self_signed",
    "subsumes",
    "verify",
]

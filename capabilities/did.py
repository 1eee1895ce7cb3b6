"""did:key: a public key as a name that proves itself."""

from __future__ import annotations

from functools import lru_cache

from capabilities.base58 import b58decode, b58encode
from capabilities.keys import KeyFault, KeyType, PublicKey, varint
from capabilities.refusal import Refusal

_CODECS = {KeyType.Ed25519: 0xED, KeyType.Secp256k1: 0xE7, KeyType.Eth: 0xEF01, KeyType.Cardano: 0xEF02}
_HEADS = {kind: varint(codec) for kind, codec in _CODECS.items()}
_PREFIX = "did:key:z"
_TEXT_MAX = 160


class DidFault(Refusal, ValueError):
    """The text is no DID, or none whose key we can tell; `detail` says why."""

    def __init__(self, detail: str, hint: str = "") -> None:
        Refusal.__init__(self, "invalid_did", detail, hint=hint)


@lru_cache(maxsize=4096)
def did_of(public: PublicKey) -> str:
    """Return the did:key of `public`."""
    return _PREFIX + b58encode(_HEADS[public.type] + public.raw)


@lru_cache(maxsize=4096)
def key_of(did: str) -> PublicKey:
    """Return the key that a did:key names; DidFault for anything else."""
    check(did)
    if not did.startswith(_PREFIX):
        raise DidFault(
            f"{did[:_TEXT_MAX]} does not carry its key", "Use did:key in base58btc (did:key:z...)."
        )
    try:
        data = b58decode(did.removeprefix(_PREFIX))
    except ValueError as error:
        raise DidFault(f"invalid DID: {error}") from None
    for kind, head in _HEADS.items():
        if data.startswith(head):
            try:
                return PublicKey(kind, data[len(head) :])
            except KeyFault as fault:
                raise DidFault(f"invalid DID: {fault.detail}") from None
    raise DidFault("invalid key type", "Ed25519, secp256k1, Ethereum and Cardano keys are known.")


@lru_cache(maxsize=4096)
def check(did: str) -> str:
    """Return `did` when it has three non-empty parts (empty means none); DidFault otherwise."""
    if did:
        if len(did) > _TEXT_MAX:
            raise DidFault(f"invalid DID: {len(did)} characters, {_TEXT_MAX} are allowed")
        parts = did.split(":")
        if len(parts) != 3 or not all(parts) or parts[0] != "did":
            raise DidFault("invalid DID", "did:<method>:<id>, for example did:key:z6Mk...")
    return did

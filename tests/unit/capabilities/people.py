"""Keys with names, and the chains between them, for the token tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from capabilities.did import did_of
from capabilities.keys import KeyType, PrivateKey, PublicKey
from capabilities.tokens import Token, issue
from capabilities.wallets import ORDER, compressed, keccak256

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
LATER = NOW + 3600 * SECOND

KEYS = {name: PrivateKey.generate() for name in ("org", "unit", "bob", "actor", "node", "nodeid", "eve")}
DIDS = {name: did_of(key.public) for name, key in KEYS.items()}


def token(issuer: str, subject: str, *paths: str, **more: Any) -> Token:
    """Return a token between two of the people; a delegation for an hour unless `more` says otherwise."""
    values: dict[str, Any] = {"action": "delegate", "expires_ns": LATER} | more
    if "audience" in values:
        values["audience"] = DIDS.get(values["audience"], values["audience"])
    return issue(KEYS[issuer], subject=DIDS[subject], capabilities=paths, **values)


def chain(*paths: str, **last: Any) -> Token:
    """Return org -> unit -> bob -> actor, the last an invoke token."""
    first = token("org", "unit", "/dms", "/public")
    second = token("unit", "bob", "/dms/node", "/public", chain=first)
    return token(
        "bob",
        "actor",
        *(paths or ("/dms/node/peers",)),
        **({"action": "invoke", "audience": "nodeid", "chain": second} | last),
    )


def signed_by(issuer: str, forged: Token) -> Token:
    """Return `forged` with a good signature of `issuer`, whatever it claims."""
    bare = replace(forged, signature=b"")
    return replace(bare, signature=KEYS[issuer].sign(bare.signed_bytes()))


class Wallet:
    """A wallet in memory: its key signs Ethereum's personal messages."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256K1())
        self.public = PublicKey(KeyType.Eth, compressed(self.key.public_key()))
        scalar = self.key.private_numbers().private_value.to_bytes(32, "big")
        self.plain = PrivateKey(KeyType.Secp256k1, scalar)

    def sign(self, message: bytes) -> bytes:
        """Return DER with a low S."""
        digest = keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
        r, s = decode_dss_signature(self.key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return encode_dss_signature(r, min(s, ORDER - s))

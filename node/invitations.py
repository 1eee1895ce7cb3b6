"""Invitation links: what they hold, how they are written and read, and what they offer in plain words.

A link is an address and, behind the `#`, what no server on the way ever sees: who invites, what each side gets, until
when, and a private key. Whoever holds the link can sign with that key, once. All of it is signed by who invites.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from capabilities.chains import implies
from capabilities.did import DidFault, did_of, key_of
from capabilities.gojson import (
    JsonFault,
    bytes_of,
    dumpb,
    loads,
    members,
    quote_bytes,
    text_of,
    texts_of,
    uint64_of,
)
from capabilities.keys import KeyFault, PrivateKey
from capabilities.moments import moment_of
from capabilities.refusal import Reason, Refusal
from capabilities.tokenform import TokenFault, check_path
from node.addresses import address_check

PAGE = "/join/"
_PREFIX = b"dms:invitation:"
_PROOF = b"dms:join:"
_MEMBERS = frozenset({"v", "did", "name", "at", "key", "exp", "until", "can", "want", "sig"})
_LINK_MAX, _PATHS_MAX = 16_384, 32
HINT = "copy it whole, from http to the end; ./dms invite at the other site makes a new one"

# What every two sites that know each other may do: say hello, tell what is revoked.
BASE = ("/public", "/broadcast", "/dms/cap/revoke/broadcast")
TOPICS = ("/nunet",)
# Whoever could call this could give herself everything.
NEVER = "/dms/cap/anchor"
WORDS = {
    "/public": "ask who the site is and what is free on it",
    "/broadcast": "send it broadcasts",
    "/dms/cap/revoke/broadcast": "tell it what has been revoked",
    "/dms/deployment": "ask it for bids and run work on it",
    "/dms/node/deployment": "deploy on it, and look after what it has deployed itself",
    "/dms/node/peers": "see and end whom it knows, and send messages in its name",
    "/dms/node/onboarding": "change what it offers",
    "/dms/node/hardware": "see its hardware and what is used of it",
    "/dms/node/resources": "see what it offers and what is free",
    "/dms/node": "administer it: everything about the node and its deployments",
}


def words_of(path: str) -> str:
    """Say in plain words what holding `path` at a site lets another do."""
    return WORDS.get(path, f"call {path} and what is below it")


def offered(paths: Iterable[str], member: str = "") -> tuple[str, ...]:
    """Return what is always given and `paths`, each once; Refusal for what no invitation may give.

    `member`: where in the request they stand.
    """
    found = dict.fromkeys([*BASE, *paths])
    for path in found:
        try:
            check_path(path, "capability")
        except TokenFault as fault:
            said = (Reason("path", fault.detail, member),)
            raise Refusal("invalid_request", fault.detail, hint=fault.hint, reasons=said) from None
        if implies(path, NEVER):
            raise Refusal(
                "too_much",
                f"{path} would let the other site change who may do what here: an invitation never gives that",
                hint="name what it is to do, for example /dms/node/deployment",
            )
    if len(found) > _PATHS_MAX:
        raise Refusal("too_much", f"{len(found)} paths", hint=f"at most {_PATHS_MAX}")
    kept = [path for path in found if not any(implies(other, path) for other in found if other != path)]
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class Link:
    """An invitation: `offers` is what whoever joins may call there, `asks` what is wanted in return. Times in ns."""

    did: str
    name: str
    addresses: tuple[str, ...]
    key: PrivateKey
    expires_ns: int
    until_ns: int
    offers: tuple[str, ...]
    asks: tuple[str, ...]
    signature: bytes = b""

    @property
    def holder(self) -> str:
        """The DID of the key in the link, by which the site that invites knows it."""
        return did_of(self.key.public)

    def _unsigned(self) -> dict[str, Any]:
        return {
            "v": 1,
            "did": self.did,
            "name": self.name,
            "at": list(self.addresses),
            "key": quote_bytes(self.key.marshal())[1:-1],
            "exp": self.expires_ns,
            "until": self.until_ns,
            "can": list(self.offers),
            "want": list(self.asks),
        }

    def sign(self, key: PrivateKey) -> Self:
        """Return the link signed by the site that invites."""
        signature = key.sign(_PREFIX + dumpb(self._unsigned()))
        return type(self)(
            self.did,
            self.name,
            self.addresses,
            self.key,
            self.expires_ns,
            self.until_ns,
            self.offers,
            self.asks,
            signature,
        )

    def text(self) -> str:
        """Return the link as people pass it on."""
        document = self._unsigned() | {"sig": quote_bytes(self.signature)[1:-1]}
        packed = urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).rstrip(b"=")
        return f"{self.addresses[0]}{PAGE}#{packed.decode()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the link in `text`, its signature verified; Refusal says what is wrong with it."""
        packed = "".join(text.split()).rpartition("#")[2]
        if not packed or len(packed) > _LINK_MAX:
            raise _wrong("this is not an invitation link")
        try:
            data = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
            get = members(loads(data, max_bytes=_LINK_MAX), _MEMBERS, "link").get
            if get("v") != 1:
                raise _wrong(f"its version is {get('v')!r}, this site reads version 1")
            link = cls(
                text_of(get("did"), "did"),
                text_of(get("name"), "name")[:64],
                tuple(address_check(address, plain=True) for address in texts_of(get("at"), "at")),
                PrivateKey.unmarshal(bytes_of(get("key"), "key") or b""),
                uint64_of(get("exp"), "exp"),
                uint64_of(get("until"), "until"),
                texts_of(get("can"), "can"),
                texts_of(get("want"), "want"),
                bytes_of(get("sig"), "sig") or b"",
            )
            signer = key_of(link.did)
        except (JsonFault, KeyFault, DidFault) as fault:
            raise _wrong(f"it is damaged ({fault.detail})") from None
        except ValueError:
            raise _wrong("it is damaged, or not an invitation link") from None
        if not signer.verify(_PREFIX + dumpb(link._unsigned()), link.signature):
            raise _wrong(f"it was altered: its signature is not that of {link.did}")
        if not link.addresses:
            raise _wrong("it names no address")
        return link

    def check_time(self, now_ns: int) -> None:
        """Return while the link is good; Refusal when it has expired."""
        if now_ns > self.expires_ns:
            raise Refusal(
                "invitation_expired",
                f"the invitation of {self.name or self.did} expired on {day(self.expires_ns)}",
                status=410,
                hint="ask for a new one: ./dms invite at that site",
            )


def proof_bytes(holder: str, record_signature: bytes) -> bytes:
    """Return what a site signs to show that it is itself who uses the link."""
    return _PROOF + holder.encode() + record_signature


def day(ns: int) -> str:
    """Return a moment as people write it."""
    return f"{moment_of(ns):%Y-%m-%d %H:%M} UTC"


def _wrong(detail: str) -> Refusal:
    return Refusal("bad_invitation", f"the invitation cannot be used: {detail}", hint=HINT)

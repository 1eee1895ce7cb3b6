"""The name and address of an actor: its id (a public key), its DID, its host (a peer id) and its inbox."""

from __future__ import annotations

import re
from base64 import b32encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from capabilities.did import did_of, key_of
from capabilities.gojson import members, quote, text_of
from capabilities.keys import KeyFault, KeyType, PublicKey
from capabilities.refusal import Refusal
from capabilities.tokenform import did_document, did_parse, did_text

ROOT_INBOX = "root"
_MEMBERS = frozenset({"id", "did", "addr"})
_ID = frozenset({"pub"})
_ADDRESS = frozenset({"host", "inbox"})
_ACTOR_KEYS = (KeyType.Ed25519, KeyType.Secp256k1)
_HOST_MAX, _INBOX_MAX, _ID_MAX = 256, 1024, 128
_BASE32 = re.compile("[A-Z2-7]+={0,6}")
# int() reads base 32 at C speed, under the other alphabet.
_DIGITS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghijklmnopqrstuv")
_TEXT = re.compile(r"(?P<id>[^\[\]]*)\[(?P<did>[^\[\]]*)\]@(?P<host>[^:\[\]]*):(?P<inbox>.*)", re.DOTALL)


class HandleFault(Refusal, ValueError):
    """The value is no handle; `detail` says what is wrong with it."""

    def __init__(self, detail: str, hint: str = "") -> None:
        Refusal.__init__(self, "invalid_handle", f"handle id is invalid: {detail}", hint=hint)


@dataclass(frozen=True, slots=True)
class Handle:
    """An actor's handle; every part may be empty, and a broadcast's receiver is empty altogether."""

    public_key: PublicKey | None = None
    did: str = ""
    host: str = ""
    inbox: str = ""
    _id: str = field(init=False, repr=False, compare=False, hash=False, default="")
    _json: str = field(init=False, repr=False, compare=False, hash=False, default="")

    def __post_init__(self) -> None:
        if self.public_key is not None and self.public_key.type not in _ACTOR_KEYS:
            raise HandleFault(
                f"{self.public_key.type.name} keys are no actor ids", "Use an Ed25519 or secp256k1 key."
            )

    @property
    def empty(self) -> bool:
        """Whether it names nobody."""
        return self.public_key is None and not (self.did or self.host or self.inbox)

    @property
    def id_did(self) -> str:
        """The did:key of the id; empty when there is none. Tokens in messages name it as their subject."""
        return "" if self.public_key is None else did_of(self.public_key)

    def id_text(self) -> str:
        """Return the id as it goes over the wire: base32 of libp2p's protobuf of the key."""
        if not self._id and self.public_key is not None:
            object.__setattr__(self, "_id", b32encode(self.public_key.marshal()).decode("ascii"))
        return self._id

    def document(self) -> dict[str, Any]:
        """Return the handle as a JSON value, in the order of the wire."""
        address = {"host": self.host, "inbox": self.inbox}
        return {
            "id": {"pub": self.id_text()},
            "did": did_document(self.did),
            "addr": {name: value for name, value in address.items() if value},
        }

    def text(self) -> str:
        """Return the handle as Go writes it."""
        if not self._json:
            address = [f'"host":{quote(self.host)}'] if self.host else []
            address += [f'"inbox":{quote(self.inbox)}'] if self.inbox else []
            text = f'{{"id":{{"pub":"{self.id_text()}"}},"did":{did_text(self.did)},"addr":{{{",".join(address)}}}}}'
            object.__setattr__(self, "_json", text)
        return self._json

    def __str__(self) -> str:
        return f"{self.id_did}[{self.did}]@{self.host}:{self.inbox}"

    @classmethod
    def parse(cls, document: Any) -> Handle:
        """Return the handle in a JSON object; HandleFault, or the fault of the part that is wrong."""
        value = members(document, _MEMBERS, "handle")
        identity, address = value.get("id"), value.get("addr")
        pub = "" if identity is None else text_of(members(identity, _ID, "id").get("pub"), "id.pub")
        parts = {} if address is None else members(address, _ADDRESS, "addr")
        return _handle(
            pub,
            did_parse(value.get("did"), "did"),
            text_of(parts.get("host"), "addr.host"),
            text_of(parts.get("inbox"), "addr.inbox"),
        )

    @classmethod
    def from_text(cls, text: str) -> Handle:
        """Return the handle that `str` wrote: `<did of the id>[<did>]@<host>:<inbox>`."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise HandleFault(f"{text[:200]!r} is not its text form", "<id DID>[<DID>]@<host>:<inbox>")
        key = key_of(match["id"]) if match["id"] else None
        pub = "" if key is None else b32encode(key.marshal()).decode("ascii")
        return _handle(pub, did_parse({"uri": match["did"]}, "did"), match["host"], match["inbox"])

    @classmethod
    def of_key(cls, key: PublicKey, inbox: str = ROOT_INBOX) -> Handle:
        """Return the handle of the actor whose id, DID and host all come from one key."""
        return cls(key, did_of(key), key.peer_id(), inbox)

    @classmethod
    def of_did(cls, did: str) -> Handle:
        """Return the root actor's handle of the node with this did:key; DidFault when it carries no key."""
        return cls.of_key(key_of(did))

    @classmethod
    def of_peer_id(cls, peer_id: str) -> Handle:
        """Return the root actor's handle of the node with this peer id; KeyFault when it carries no key."""
        return cls.of_key(PublicKey.from_peer_id(peer_id))


EMPTY = Handle()


@lru_cache(maxsize=4096)
def _key_of_id(text: str) -> PublicKey:
    """Return the key in `id.pub`. Only the canonical base32 passes, so that nothing needs encoding again."""
    if not _BASE32.fullmatch(text) or len(text) % 8 or len(text) > _ID_MAX:
        raise HandleFault("id.pub is not base32", "Upper case, padded.")
    digits = text.rstrip("=")
    size, spare = divmod(5 * len(digits), 8)
    number = int(digits.translate(_DIGITS), 32)
    if spare > 4 or number & ((1 << spare) - 1):
        raise HandleFault("id.pub is not base32", "Unused bits are zero.")
    try:
        return PublicKey.unmarshal((number >> spare).to_bytes(size, "big"))
    except KeyFault as fault:
        raise HandleFault(fault.detail, fault.hint) from None


@lru_cache(maxsize=4096)
def _handle(pub: str, did: str, host: str, inbox: str) -> Handle:
    if len(host) > _HOST_MAX or len(inbox) > _INBOX_MAX:
        raise HandleFault("a part of it is too long", f"host {_HOST_MAX}, inbox {_INBOX_MAX} characters.")
    handle = Handle(_key_of_id(pub) if pub else None, did, host, inbox)
    object.__setattr__(handle, "_id", pub)
    return handle

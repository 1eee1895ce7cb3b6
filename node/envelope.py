"""The signed message between actors, byte for byte as the reference writes it.

Signed is `dms:msg:` and the JSON of the envelope without `sig`. The reader writes again what it has understood,
so members that it does not know are dropped and are covered by no signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capabilities.gojson import (
    UINT64_MAX,
    JsonFault,
    bytes_of,
    loads,
    members,
    quote,
    quote_bytes,
    text_of,
    uint64_of,
    well_formed,
)
from capabilities.keys import PrivateKey
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.handle import EMPTY, Handle

Payload = Mapping[str, Any] | Sequence[Any] | str | int | bool | None

_SIGNED_PREFIX = b"dms:msg:"
_MEMBERS = frozenset({"to", "be", "from", "nonce", "opt", "msg", "cap", "sig"})
_OPTIONS = frozenset({"exp", "cont", "topic"})
_PATH_MAX = 1024


class EnvelopeFault(Refusal, ValueError):
    """A message that is refused before anybody looks at what it asks.

    `code`: invalid_message, message_expired, signature_verification_failed, invalid_security_context.
    """

    def __init__(self, code: str, detail: str, *, status: int = 400, hint: str = "", **more: Any) -> None:
        Refusal.__init__(self, code, detail, status=status, hint=hint, **more)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message. `expires_ns` counts nanoseconds since 1970; `message` is JSON text, None when never set."""

    to: Handle
    behavior: str
    sender: Handle
    nonce: int = 0
    expires_ns: int = 0
    reply_to: str = ""
    topic: str = ""
    message: bytes | None = b""
    capabilities: bytes = b""
    signature: bytes = b""

    @classmethod
    def parse(cls, data: bytes, *, max_bytes: int = NUMBERS.envelope_max_bytes) -> Envelope:
        """Return the envelope in `data`; EnvelopeFault (invalid_message) says what is wrong with it."""
        try:
            return cls.from_document(loads(data, max_bytes=max_bytes))
        except EnvelopeFault:
            raise
        except Refusal as fault:
            raise EnvelopeFault(
                "invalid_message", f"invalid message: {fault.detail}", hint=fault.hint
            ) from None

    @classmethod
    def from_document(cls, document: Any) -> Envelope:
        """Return the envelope in a JSON value; the fault of the member that is wrong."""
        get = members(document, _MEMBERS, "envelope").get
        options = get("opt")
        option = members({} if options is None else options, _OPTIONS, "opt").get
        to, sender = get("to"), get("from")
        envelope = cls(
            EMPTY if to is None else Handle.parse(to),
            text_of(get("be"), "be"),
            EMPTY if sender is None else Handle.parse(sender),
            uint64_of(get("nonce"), "nonce"),
            uint64_of(option("exp"), "opt.exp"),
            text_of(option("cont"), "opt.cont"),
            text_of(option("topic"), "opt.topic"),
            bytes_of(get("msg"), "msg"),
            bytes_of(get("cap"), "cap") or b"",
            bytes_of(get("sig"), "sig") or b"",
        )
        if max(len(envelope.behavior), len(envelope.reply_to), len(envelope.topic)) > _PATH_MAX:
            raise JsonFault("a behavior or topic is too long", f"At most {_PATH_MAX} characters.")
        return envelope

    @property
    def broadcast(self) -> bool:
        """Whether it goes to everybody on a topic: no receiver, and a topic."""
        return bool(self.topic) and self.to.empty

    def expired(self, now_ns: int) -> bool:
        """Return whether its time is over; at the very nanosecond it is still good."""
        return now_ns > self.expires_ns

    def document(self) -> dict[str, Any]:
        """Return the envelope as a JSON value, in the order of the wire."""
        return {
            "to": self.to.document(),
            "be": self.behavior,
            "from": self.sender.document(),
            "nonce": self.nonce,
            "opt": {"exp": self.expires_ns}
            | ({"cont": self.reply_to} if self.reply_to else {})
            | ({"topic": self.topic} if self.topic else {}),
            "msg": None if self.message is None else quote_bytes(self.message)[1:-1],
            **({"cap": quote_bytes(self.capabilities)[1:-1]} if self.capabilities else {}),
            **({"sig": quote_bytes(self.signature)[1:-1]} if self.signature else {}),
        }

    def _unsigned(self) -> str:
        reply_to = f',"cont":{quote(self.reply_to)}' if self.reply_to else ""
        topic = f',"topic":{quote(self.topic)}' if self.topic else ""
        message = "null" if self.message is None else quote_bytes(self.message)
        tokens = f',"cap":{quote_bytes(self.capabilities)}' if self.capabilities else ""
        return (
            f'{{"to":{self.to.text()},"be":{quote(self.behavior)},"from":{self.sender.text()},'
            f'"nonce":{self.nonce},"opt":{{"exp":{self.expires_ns}{reply_to}{topic}}},"msg":{message}{tokens}'
        )

    def signed_bytes(self) -> bytes:
        """Return what the sender signs."""
        return _SIGNED_PREFIX + self._unsigned().encode() + b"}"

    def to_json(self) -> bytes:
        """Return the envelope as Go writes it."""
        signature = f',"sig":{quote_bytes(self.signature)}' if self.signature else ""
        return f"{self._unsigned()}{signature}}}".encode()

    def sign(self, private_key: PrivateKey) -> Envelope:
        """Return the envelope signed by its sender's key; last of all, for it covers everything else."""
        if self.sender.public_key != private_key.public:
            raise EnvelopeFault(
                "invalid_security_context",
                "invalid security context: the key that signs is not the sender's id",
                status=403,
                hint="Sign with the key of `from.id`.",
            )
        fit = replace(
            self,
            to=_well_formed(self.to),
            sender=_well_formed(self.sender),
            behavior=well_formed(self.behavior),
            reply_to=well_formed(self.reply_to),
            topic=well_formed(self.topic),
        )
        return replace(fit, signature=private_key.sign(fit.signed_bytes()))

    def verify(self) -> bool:
        """Return True when the signature is the sender's; EnvelopeFault otherwise, never False."""
        key = self.sender.public_key
        if key is None or not self.signature:
            raise EnvelopeFault(
                "signature_verification_failed",
                "signature verification failed: the message is not signed",
                status=401,
                hint="Sign `dms:msg:` and the JSON without `sig` with the key of `from.id`.",
            )
        if not key.verify(self.signed_bytes(), self.signature):
            raise EnvelopeFault(
                "signature_verification_failed",
                f"signature verification failed: it is not {self.sender.id_did}'s over this message",
                status=401,
                hint="The bytes are those of Go's encoding/json: order, no blanks, escapes.",
            )
        return True

    def check_expiry(self, now_ns: int, *, max_ahead_s: float = NUMBERS.envelope_max_ahead_s) -> None:
        """Return when the time is right; EnvelopeFault states both clocks when it is over or too far off."""
        ahead_ns = self.expires_ns - now_ns
        if ahead_ns < 0:
            raise EnvelopeFault(
                "message_expired",
                f"message expired: at {self.expires_ns} ns, the clock here says {now_ns} ns",
                hint="Send it anew; if this happens at once, compare the clocks.",
                expires_ns=self.expires_ns,
                now_ns=now_ns,
            )
        if ahead_ns > max_ahead_s * 1_000_000_000:
            raise EnvelopeFault(
                "invalid_message",
                f"invalid message: it expires {ahead_ns / 1e9:.0f} s ahead of the clock here ({now_ns} ns)",
                hint=f"At most {max_ahead_s:.0f} s ahead.",
                expires_ns=self.expires_ns,
                now_ns=now_ns,
            )

    def reply(self, payload: Payload, *, nonce: int, source: Handle | None = None) -> Envelope:
        """Return the unsigned answer to this message, which expires when the question does.

        `source` is the replying actor; a broadcast needs it, for it was addressed to nobody.
        """
        if not self.reply_to:
            raise EnvelopeFault("invalid_message", "invalid message: no behavior to reply to")
        sender = self.to if source is None else source
        if sender.empty:
            raise EnvelopeFault(
                "invalid_message", "invalid message: a broadcast is answered by a named actor"
            )
        return Envelope(
            self.sender, self.reply_to, sender, nonce, self.expires_ns, message=encode_payload(payload)
        )

    def payload(self, *, max_bytes: int = NUMBERS.envelope_max_bytes) -> Any:
        """Return the JSON value in the message, None when it is empty; EnvelopeFault when it is no JSON."""
        if not self.message:
            return None
        try:
            return loads(self.message, max_bytes=max_bytes)
        except JsonFault as fault:
            raise EnvelopeFault("invalid_message", f"invalid message: msg: {fault.detail}") from None


def encode_payload(payload: Payload) -> bytes:
    """Return the JSON text of a payload; nothing for None."""
    if payload is None:
        return b""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()


def compose(
    *,
    to: Handle,
    behavior: str,
    sender: Handle,
    payload: Payload,
    nonce: int,
    now_ns: int,
    expires_ns: int = 0,
    timeout_s: float = NUMBERS.envelope_expiry_s,
    reply_to: str = "",
    topic: str = "",
    capabilities: bytes = b"",
) -> Envelope:
    """Return an unsigned message. `expires_ns` 0 means `timeout_s` from `now_ns`."""
    return Envelope(
        to,
        behavior,
        sender,
        nonce,
        min(expires_ns or now_ns + int(timeout_s * 1_000_000_000), UINT64_MAX),
        reply_to,
        topic,
        encode_payload(payload),
        capabilities,
    )


def _well_formed(handle: Handle) -> Handle:
    if handle.host.isascii() and handle.inbox.isascii():
        return handle
    return replace(handle, host=well_formed(handle.host), inbox=well_formed(handle.inbox))

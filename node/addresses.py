"""Where a site can be reached: addresses that are allowed, and the record in which a site says and signs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

from capabilities.did import DidFault, did_of, key_of
from capabilities.gojson import (
    JsonFault,
    bytes_of,
    dumpb,
    members,
    quote_bytes,
    text_of,
    texts_of,
    uint64_of,
)
from capabilities.keys import PrivateKey
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal

_PREFIX = b"dms:address:"
_MEMBERS = frozenset({"did", "name", "peers", "addresses", "issued", "exp", "sig"})
_ADDRESS_MAX, _NAME_MAX, _AHEAD_NS = 500, 64, 600 * 1_000_000_000
HINT = "write for example https://dms.example.org or, on this machine, http://127.0.0.1:8765"


def loopback(host: str) -> bool:
    """Return whether `host` is this machine talking to itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def address_check(text: str, *, plain: bool = False) -> str:
    """Return the address of a site in its shortest form, without what comes after host, port and folder.

    Refusal when it is none. `plain`: unencrypted HTTP is allowed also to other machines.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as fault:
        raise Refusal("bad_address", f"{text[:200]!r} is no address: {fault}", hint=HINT) from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or len(text) > _ADDRESS_MAX:
        raise Refusal("bad_address", f"{text[:200]!r} is not the address of a site", hint=HINT)
    if parts.username is not None or parts.password is not None:
        raise Refusal("bad_address", "an address holds no name and no password", hint=HINT)
    if not (text.isascii() and text.isprintable()):
        raise Refusal("bad_address", f"{text[:200]!r} holds characters that no address has", hint=HINT)
    if parts.scheme == "http" and not (plain or loopback(host)):
        raise Refusal(
            "plain_http",
            f"http://{host} is another machine, and plain HTTP is for this machine alone",
            hint="use https://, or set DMS_PEER_PLAIN_HTTP=1 where the network in between is yours",
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """What a site says of where it is; `peers` maps the peer ids of its nodes to their DIDs. Times in ns."""

    did: str
    name: str
    peers: Mapping[str, str]
    addresses: tuple[str, ...]
    issued_ns: int
    expires_ns: int
    signature: bytes = b""

    def _unsigned(self) -> dict[str, Any]:
        return {
            "did": {"uri": self.did},
            "name": self.name,
            "peers": dict(sorted(self.peers.items())),
            "addresses": list(self.addresses),
            "issued": self.issued_ns,
            "exp": self.expires_ns,
        }

    def document(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return self._unsigned() | {"sig": quote_bytes(self.signature)[1:-1]}

    def signed_bytes(self) -> bytes:
        """Return what the site signs."""
        return _PREFIX + dumpb(self._unsigned())

    @classmethod
    def issue(
        cls, key: PrivateKey, *, name: str, peers: Mapping[str, str], addresses: Iterable[str], now_ns: int
    ) -> Self:
        """Return the record of the site whose node has `key`, good for `address_record_lifetime_s`."""
        ends_ns = now_ns + int(NUMBERS.address_record_lifetime_s * 1_000_000_000)
        draft = cls(did_of(key.public), name[:_NAME_MAX], peers, tuple(addresses), now_ns, ends_ns)
        return cls(*draft._fields(), key.sign(draft.signed_bytes()))

    def _fields(self) -> tuple[str, str, Mapping[str, str], tuple[str, ...], int, int]:
        return (self.did, self.name, self.peers, self.addresses, self.issued_ns, self.expires_ns)

    @classmethod
    def parse(cls, document: Any, *, now_ns: int, clock_off_ns: int = 0) -> Self:
        """Return the record in a JSON object, its signature verified; Refusal says what is wrong with it.

        `clock_off_ns`: how far the clock of whoever signed it is known to be ahead of ours.
        """
        try:
            get = members(document, _MEMBERS, "record").get
            did = text_of(members(get("did"), frozenset({"uri"}), "did").get("uri"), "did.uri")
            peers = get("peers") or {}
            if not isinstance(peers, dict) or len(peers) > NUMBERS.peer_addresses_max:
                raise JsonFault("peers is not a small object", "peer id to DID")
            record = cls(
                did,
                text_of(get("name"), "name")[:_NAME_MAX],
                {str(peer): text_of(value, "peers") for peer, value in peers.items()},
                texts_of(get("addresses"), "addresses"),
                uint64_of(get("issued"), "issued"),
                uint64_of(get("exp"), "exp"),
                bytes_of(get("sig"), "sig") or b"",
            )
            key = key_of(did)
        except (JsonFault, DidFault) as fault:
            raise _wrong(fault.detail, fault.hint) from None
        if len(record.addresses) > NUMBERS.peer_addresses_max:
            raise _wrong(f"{len(record.addresses)} addresses", f"at most {NUMBERS.peer_addresses_max}")
        for address in record.addresses:
            address_check(address, plain=True)
        if not key.verify(record.signed_bytes(), record.signature):
            raise _wrong(f"its signature is not that of {did}", "it was altered on its way, or is another's")
        if record.expires_ns < now_ns + clock_off_ns:
            raise _wrong("it has expired", "the site signs a new one with each hello")
        if record.issued_ns > now_ns + clock_off_ns + _AHEAD_NS:
            raise _wrong("it was signed in the future", "compare the clocks")
        return record


def _wrong(detail: str, hint: str = "") -> Refusal:
    return Refusal("bad_address_record", f"the address record cannot be used: {detail}", hint=hint)


def clock_offset_ns(sent_ns: int, there_ns: int, received_ns: int) -> int:
    """Return how far the other clock is ahead of ours, taking the way there to be half of the round trip."""
    return there_ns - (sent_ns + received_ns) // 2


def clock_words(offset_ms: int | None, off_s: float = NUMBERS.clock_off_s) -> str:
    """Say how far a clock differs, in seconds; nothing when that is little or not known."""
    if offset_ms is None or abs(offset_ms) <= off_s * 1000:
        return ""
    seconds = abs(offset_ms) / 1000
    return f"its clock is {seconds:.0f} s {'ahead of' if offset_ms > 0 else 'behind'} ours"

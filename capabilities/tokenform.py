"""The form of a capability token: parsing, the exact signed bytes, issuing, the list it travels in.

Whether a token is worth anything is decided in `capabilities.chains`; `capabilities.tokens` offers both.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from capabilities.did import check as check_did
from capabilities.did import did_of
from capabilities.gojson import (
    UINT64_MAX,
    JsonFault,
    bytes_of,
    loads,
    members,
    quote,
    quote_bytes,
    text_of,
    texts_of,
    uint64_of,
)
from capabilities.keys import Signer
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal

ACTIONS = frozenset({"invoke", "delegate", "broadcast", "revoke"})
NONCE_BYTES = 12
_NONCE_MAX = 64
_PATH_MAX = 512
_FORMS = frozenset({"dms", "ucan"})
_MEMBERS = frozenset({"act", "iss", "sub", "aud", "topic", "cap", "nonce", "exp", "depth", "chain", "sig"})
_URI = frozenset({"uri"})
_LIST = frozenset({"tok"})
_SIGNED_PREFIX = b"dms:token:"


class TokenFault(Refusal):
    """A token that does not count. `code`: bad_token, not_authorized, capability_expired, blob_too_big,
    bad_context; `check`: the single check that failed."""

    def __init__(
        self, code: str, detail: str, *, check: str = "", hint: str = "", reasons: tuple[Reason, ...] = ()
    ) -> None:
        status = 403 if code in ("not_authorized", "capability_expired") else 400
        super().__init__(code, detail, status=status, hint=hint, reasons=reasons)
        self.check = check or code


def bad(detail: str, hint: str = "") -> TokenFault:
    """Return the fault of a token whose form is wrong."""
    return TokenFault("bad_token", f"bad token: {detail}", check="form", hint=hint)


def did_document(did: str) -> dict[str, str]:
    """Return the JSON object of a DID; an empty one is `{}`."""
    return {"uri": did} if did else {}


def did_text(did: str) -> str:
    """Return the JSON text of a DID."""
    return f'{{"uri":{quote(did)}}}' if did else "{}"


def did_parse(value: Any, where: str) -> str:
    """Return the DID in its JSON object; JsonFault or DidFault when it is none."""
    if type(value) is dict and len(value) == 1 and type(uri := value.get("uri")) is str:
        return check_did(uri)
    if value is None:
        return ""
    return check_did(text_of(members(value, _URI, where).get("uri"), where))


@lru_cache(maxsize=1024)
def check_path(path: str, what: str) -> str:
    """Return a capability or topic that can imply something; TokenFault for the forms that mislead."""
    if len(path) > _PATH_MAX:
        raise bad(f"{what} of {len(path)} characters", f"At most {_PATH_MAX}.")
    if what == "capability" and not path.startswith("/"):
        raise bad(f"{what} {path!r} does not begin with a slash", "For example /dms/node.")
    if not path or (path.endswith("/") and path != "/"):
        raise bad(f"{what} {path!r} is empty or ends with a slash", "Leave the last slash away.")
    return path


def key_parts(key: str) -> tuple[str, str, str]:
    """Return issuer, subject and nonce of a token's key."""
    issuer, _, rest = key.partition("#")
    subject, _, nonce = rest.partition("#")
    return issuer, subject, nonce


@dataclass(frozen=True, slots=True)
class Token:
    """One link of a chain of capabilities; `chain` is the delegation it rests on, None when self-signed.

    Times are nanoseconds since 1970. `capabilities_null`: the list was null on the wire, which the signature
    tells apart from an empty one.
    """

    action: str
    issuer: str
    subject: str
    audience: str
    topics: tuple[str, ...]
    capabilities: tuple[str, ...]
    nonce: bytes
    expires_ns: int
    depth: int = 0
    chain: Token | None = None
    signature: bytes = b""
    capabilities_null: bool = False
    _memo: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    @classmethod
    def parse(cls, document: Any, *, max_links: int = NUMBERS.token_chain_max_links) -> Token:
        """Return the token in `{"dms": {...}}`; TokenFault (bad_token) says what is wrong with it."""
        try:
            return _parse(document, max_links)
        except TokenFault:
            raise
        except Refusal as fault:
            raise bad(fault.detail, fault.hint) from None

    @property
    def key(self) -> str:
        """`issuer#subject#nonce` (the nonce in base64): what a revocation names."""
        key = self._memo.get("key")
        if key is None:
            key = self._memo["key"] = f"{self.issuer}#{self.subject}#{quote_bytes(self.nonce)[1:-1]}"
        return str(key)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the whole token, signatures included."""
        digest: bytes | None = self._memo.get("digest")
        if digest is None:
            digest = self._memo["digest"] = hashlib.sha256(self.text().encode()).digest()
        return digest

    @property
    def issuers(self) -> frozenset[str]:
        """Every issuer in the chain."""
        found: frozenset[str] | None = self._memo.get("issuers")
        if found is None:
            found = self._memo["issuers"] = frozenset([link.issuer for link in self.links()])
        return found

    def links(self) -> Iterator[Token]:
        """Yield this token, its parent, and so on up to the root of the chain."""
        link: Token | None = self
        while link is not None:
            yield link
            link = link.chain

    def document(self) -> dict[str, Any]:
        """Return the token as a JSON value, in the order of the wire."""
        inner: dict[str, Any] = {
            "act": self.action,
            "iss": did_document(self.issuer),
            "sub": did_document(self.subject),
            "aud": did_document(self.audience),
        }
        if self.topics:
            inner["topic"] = list(self.topics)
        inner["cap"] = None if self.capabilities_null else list(self.capabilities)
        inner["nonce"] = quote_bytes(self.nonce)[1:-1]
        inner["exp"] = self.expires_ns
        if self.depth:
            inner["depth"] = self.depth
        if self.chain is not None:
            inner["chain"] = self.chain.document()
        if self.signature:
            inner["sig"] = quote_bytes(self.signature)[1:-1]
        return {"dms": inner}

    def _unsigned(self) -> str:
        text: str | None = self._memo.get("unsigned")
        if text is None:
            topics = f'"topic":[{",".join(map(quote, self.topics))}],' if self.topics else ""
            paths = "null" if self.capabilities_null else f"[{','.join(map(quote, self.capabilities))}]"
            depth = f',"depth":{self.depth}' if self.depth else ""
            chain = f',"chain":{self.chain.text()}' if self.chain is not None else ""
            text = self._memo["unsigned"] = (
                f'{{"act":{quote(self.action)},"iss":{did_text(self.issuer)},"sub":{did_text(self.subject)},'
                f'"aud":{did_text(self.audience)},{topics}"cap":{paths},"nonce":{quote_bytes(self.nonce)},'
                f'"exp":{self.expires_ns}{depth}{chain}'
            )
        return text

    def text(self) -> str:
        """Return the token as Go writes it."""
        signature = f',"sig":{quote_bytes(self.signature)}' if self.signature else ""
        return f'{{"dms":{self._unsigned()}{signature}}}}}'

    def signed_bytes(self) -> bytes:
        """Return what the issuer signs."""
        return _SIGNED_PREFIX + self._unsigned().encode() + b"}"


def _parse(document: Any, links: int) -> Token:
    if links <= 0:
        raise bad("the chain is too long", f"At most {NUMBERS.token_chain_max_links} links.")
    forms = members(document, _FORMS, "token")
    if forms.get("dms") is None:
        raise bad("it has no member `dms`", "Standard UCANs are not implemented." if forms else "")
    get = members(forms["dms"], _MEMBERS, "dms").get
    action = get("act")
    if type(action) is not str or action not in ACTIONS:
        raise bad(f"unknown action {action!r}", "invoke, delegate, broadcast or revoke.")
    issuer, subject = did_parse(get("iss"), "iss"), did_parse(get("sub"), "sub")
    if not issuer or not subject:
        raise bad("issuer and subject are both needed")
    audience = get("aud")
    topics = get("topic")
    paths = get("cap")
    nonce = bytes_of(get("nonce"), "nonce")
    if not nonce or len(nonce) > _NONCE_MAX:
        raise bad("a nonce is needed", f"{NONCE_BYTES} random bytes.")
    depth = get("depth")
    chain = get("chain")
    token = Token(
        action,
        issuer,
        subject,
        did_parse(audience, "aud") if audience else "",
        texts_of(topics, "topic") if topics is not None else (),
        texts_of(paths, "cap"),
        nonce,
        uint64_of(get("exp"), "exp"),
        uint64_of(depth, "depth") if depth is not None else 0,
        None if chain is None else _parse(chain, links - 1),
        bytes_of(get("sig"), "sig") or b"",
        paths is None,
    )
    _check_paths(token)
    return token


def _check_paths(token: Token) -> None:
    if len(token.topics) + len(token.capabilities) > NUMBERS.token_max_paths:
        raise bad("too many topics and capabilities", f"At most {NUMBERS.token_max_paths}.")
    for path in token.capabilities:
        check_path(path, "capability")
    for path in token.topics:
        check_path(path, "topic")


def issue(
    private_key: Signer,
    *,
    action: str,
    subject: str,
    capabilities: Iterable[str],
    expires_ns: int,
    audience: str = "",
    topics: Iterable[str] = (),
    depth: int = 0,
    chain: Token | None = None,
    nonce: bytes | None = None,
) -> Token:
    """Return a token signed by `private_key`; TokenFault when its form would not be accepted.

    Whether the chain carries it is not looked at here: `chains.allow_delegation` says so beforehand.
    """
    if action not in ACTIONS:
        raise bad(f"unknown action {action!r}", "invoke, delegate, broadcast or revoke.")
    if action == "broadcast" and audience:
        raise bad("a broadcast token has no audience")
    if not 0 <= expires_ns <= UINT64_MAX or not 0 <= depth <= UINT64_MAX:
        raise bad("expiry and depth are unsigned 64-bit numbers")
    if not subject:
        raise bad("a subject is needed", "The DID that receives the power.")
    token = Token(
        action,
        did_of(private_key.public),
        check_did(subject),
        check_did(audience),
        tuple(topics),
        tuple(capabilities),
        secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce,
        expires_ns,
        depth,
        chain,
    )
    _check_paths(token)
    return replace(token, signature=private_key.sign(token.signed_bytes()))


def revoke(private_key: Signer, token: Token) -> Token:
    """Return the revocation of `token`, which only its issuer may sign; TokenFault for anybody else."""
    if did_of(private_key.public) != token.issuer:
        raise TokenFault(
            "not_authorized",
            f"not authorized: only {token.issuer} may revoke its token",
            check="revocation_issuer",
        )
    revocation = Token(
        "revoke",
        token.issuer,
        token.subject,
        "",
        (),
        token.capabilities,
        token.nonce,
        token.expires_ns,
        capabilities_null=token.capabilities_null,
    )
    return replace(revocation, signature=private_key.sign(revocation.signed_bytes()))


@dataclass(frozen=True, slots=True)
class TokenList:
    """Tokens as they travel in a message: `{"tok": [...]}`, `{}` when there are none."""

    tokens: tuple[Token, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the list as a JSON value."""
        return {"tok": [token.document() for token in self.tokens]} if self.tokens else {}

    def encode(self) -> bytes:
        """Return the list as Go writes it."""
        if not self.tokens:
            return b"{}"
        return f'{{"tok":[{",".join([token.text() for token in self.tokens])}]}}'.encode()

    @classmethod
    def parse(cls, data: bytes, *, max_bytes: int = NUMBERS.consumed_tokens_max_bytes) -> TokenList:
        """Return the tokens in `data`; TokenFault at the first that is malformed."""
        return cls(tuple(Token.parse(item) for item in _items(data, max_bytes)))

    @classmethod
    def of_document(cls, document: Any) -> TokenList:
        """Return the tokens in a JSON value, null being none; TokenFault at the first that is malformed."""
        return cls(tuple(Token.parse(item) for item in _listed({} if document is None else document)))

    @classmethod
    def of_any(cls, document: Any) -> TokenList:
        """Return the tokens in a JSON value that is a list or one token alone; TokenFault at what is malformed."""
        alone = isinstance(document, dict) and len(document) == 1 and bool(_FORMS & document.keys())
        return cls((Token.parse(document),)) if alone else cls.of_document(document)

    @classmethod
    def salvage(
        cls, data: bytes, *, max_bytes: int = NUMBERS.consumed_tokens_max_bytes
    ) -> tuple[TokenList, tuple[TokenFault, ...]]:
        """Return the well-formed tokens in `data` and what is wrong with each of the others."""
        tokens, faults = [], []
        for item in _items(data, max_bytes):
            try:
                tokens.append(Token.parse(item))
            except TokenFault as fault:
                faults.append(fault)
        return cls(tuple(tokens)), tuple(faults)


def _items(data: bytes, max_bytes: int) -> list[Any]:
    if len(data) > max_bytes:
        raise TokenFault(
            "blob_too_big",
            f"capability blob too big: {len(data)} bytes",
            check="size",
            hint=f"At most {max_bytes} bytes of tokens go with a message.",
        )
    try:
        document = loads(data, max_bytes=max_bytes)
    except JsonFault as fault:
        raise bad(fault.detail, fault.hint) from None
    return _listed(document)


def _listed(document: Any) -> list[Any]:
    try:
        items = members(document, _LIST, "tokens").get("tok")
    except JsonFault as fault:
        raise bad(fault.detail, fault.hint) from None
    if items is None:
        return []
    if type(items) is not list:
        raise bad("tok is not a list")
    return items

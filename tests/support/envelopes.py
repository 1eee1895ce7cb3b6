"""A stranger's side of a site: signed envelopes made without the command line, posted as plain HTTP."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from capabilities import keystore
from capabilities.keys import PrivateKey
from node.envelope import Envelope, Payload, compose
from node.handle import Handle
from tests.support.site import Site

NS = 1_000_000_000


@dataclass
class Signer:
    """Writes to one site with one key; `token` is the bearer token that lets it post at all."""

    site: Site
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    token: str = ""

    @classmethod
    def of_node(cls, site: Site) -> Signer:
        """Return who signs with the node's own key, a root."""
        passphrase = (site.home / "secrets" / "passphrase").read_text().strip()
        return cls(site, keystore.unseal(keystore.read(site.home / "key" / "dms.json"), passphrase))

    @property
    def did(self) -> str:
        """The DID behind the key."""
        return Handle.of_key(self.key.public).did

    def http(self) -> httpx.Client:
        """Return a client of the site's REST API."""
        return client_of(self.site, self.token or self.site.token)

    def node(self) -> Handle:
        """Ask the site how its node is addressed."""
        with self.http() as http:
            return Handle.parse(http.get("/actor/handle").raise_for_status().json())

    def envelope(
        self,
        behavior: str,
        payload: Payload = None,
        *,
        ahead_s: float = 30.0,
        topic: str = "",
        reply: bool = True,
        nonce: int | None = None,
    ) -> Envelope:
        """Return a signed envelope to the site's node, or to everybody on `topic`."""
        number = secrets.randbits(63) if nonce is None else nonce
        drafted = compose(
            to=Handle() if topic else self.node(),
            behavior=behavior,
            sender=Handle.of_key(self.key.public, f"user-{number}"),
            payload={} if payload is None else payload,
            nonce=number,
            now_ns=time.time_ns(),
            expires_ns=time.time_ns() + int(ahead_s * NS),
            reply_to=f"/private/user/{number}" if reply else "",
            topic=topic,
        )
        return drafted.sign(self.key)

    def post(self, verb: str, body: Envelope | bytes) -> httpx.Response:
        """Hand the bytes to /actor/<verb>."""
        data = body if isinstance(body, bytes) else body.to_json()
        with self.http() as http:
            return http.post(f"/actor/{verb}", content=data, headers={"Content-Type": "application/json"})

    def invoke(self, envelope: Envelope) -> Any:
        """Invoke and return what the reply says, after having checked that the node has signed it."""
        answer = self.post("invoke", envelope)
        assert answer.status_code == 200, answer.text
        return self.said(answer.json(), envelope)

    def said(self, document: dict[str, Any], asked: Envelope) -> Any:
        """Return the message of a reply; AssertionError unless it is the node's own, to us, to this question."""
        reply = Envelope.parse(json.dumps(document).encode())
        assert reply.verify()
        assert reply.sender == self.node()
        assert (reply.to, reply.behavior) == (asked.sender, asked.reply_to)
        return json.loads(reply.message or b"null")


def client_of(site: Site, token: str) -> httpx.Client:
    """Return a client of the site's REST API with this bearer token, none when it is empty."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{site.url}/api/v1", headers=headers, timeout=60, trust_env=False)


def tampered(envelope: Envelope) -> Envelope:
    """Return the envelope with another message under the old signature."""
    return replace(envelope, message=b'{"changed":true}')

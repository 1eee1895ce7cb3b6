"""A small identity provider in a thread that can be told to lie: for what no honest provider does.

In `changed_token` None leaves a member out.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY_ID = "one"


def _number(value: int) -> str:
    return (
        base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()
    )


@dataclass
class Provider:
    """What it says; each `changed_*` is put over the truth."""

    url: str = ""
    client: str = "dms"
    sub: str = "person-1"
    nonce: str = ""
    asked: list[str] = field(default_factory=list)
    changed_document: dict[str, Any] = field(default_factory=dict)
    changed_claims: dict[str, Any] = field(default_factory=dict)
    changed_userinfo: dict[str, Any] = field(default_factory=dict)
    changed_token: dict[str, Any] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    signs_with: rsa.RSAPrivateKey | None = None

    def keys(self) -> dict[str, Any]:
        """Its published keys."""
        numbers = self.key.public_key().public_numbers()
        return {"keys": [{"kty": "RSA", "kid": KEY_ID, "n": _number(numbers.n), "e": _number(numbers.e)}]}

    def id_token(self) -> str:
        """An ID token for whoever logs in."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.client, "sub": self.sub, "nonce": self.nonce}
        claims |= {"iat": now, "exp": now + 300} | self.changed_claims
        return jwt.encode(claims, self.signs_with or self.key, "RS256", headers={"kid": KEY_ID})

    def answer(self, path: str) -> Any:
        """Return the document at `path`."""
        self.asked.append(path)
        match path:
            case "/.well-known/openid-configuration":
                places = {
                    "authorization_endpoint": "authorize",
                    "token_endpoint": "token",
                    "userinfo_endpoint": "userinfo",
                    "jwks_uri": "keys",
                }
                document = {name: f"{self.url}/{place}" for name, place in places.items()}
                return document | {"issuer": self.url} | self.changed_document
            case "/keys":
                return self.keys()
            case "/token":
                told = {"access_token": "secret", "token_type": "Bearer", "id_token": self.id_token()}
                return {name: text for name, text in (told | self.changed_token).items() if text is not None}
            case "/userinfo":
                return {"sub": self.sub, "preferred_username": "paula"} | self.changed_userinfo
        return {"error": "not found"}


@contextmanager
def identity_provider() -> Iterator[Provider]:
    """Run one on a port of this machine."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            body = json.dumps(provider.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()

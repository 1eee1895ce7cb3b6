"""An OpenID Connect provider that others made (oidc-provider-mock, on Authlib), in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.support.services import wait_for

STOP_S = 10


@dataclass
class RunningProvider:
    """Where it answers, and its process."""

    url: str
    process: subprocess.Popen[bytes]

    def answers(self) -> bool:
        """Say whether its discovery document can be read."""
        try:
            answer = httpx.get(f"{self.url}/.well-known/openid-configuration", trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def stop(self) -> None:
        """End it; nothing listens afterwards."""
        self.process.terminate()
        self.process.wait(STOP_S)

    @property
    def environment(self) -> dict[str, str]:
        """What tells a site of it."""
        return {
            "DMS_OIDC_ISSUER": self.url,
            "DMS_OIDC_CLIENT_ID": "dms",
            "DMS_OIDC_CLIENT_SECRET": "secret of the site",
            "DMS_OIDC_NAME": "Acme",
        }


@contextmanager
def running_provider() -> Iterator[RunningProvider]:
    """Run one that asks for a nonce, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    environment = {**os.environ, "NO_COLOR": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    provider = RunningProvider(f"http://127.0.0.1:{port}", process)
    try:
        wait_for(provider.answers, what="the identity provider")
        yield provider
    finally:
        if process.poll() is None:
            provider.stop()

"""A real registry (Debian's docker-registry) on loopback, behind a relay that can be slow, and images to pull."""

from __future__ import annotations

import base64
import io
import json
import secrets
import socket
import socketserver
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from docker import DockerClient

from tests.integration.docker_rig import free_port, wait_for
from tests.support.require import require

# bcrypt of "secret", cheapest cost: the registry knows no other hash, and Python 3.13 cannot make one.
HTPASSWD = "user:$2b$04$OQ1Xzf63OcwUX5OPk41bS.9dglVcixc1cElNsit/I9NGErJpIf7YG\n"
CONFIG = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
AUTH = "auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"


class Registry:
    """One registry process."""

    def __init__(self, folder: Path, *, auth: bool = False) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        text = CONFIG + (AUTH if auth else "")
        (folder / "config.yml").write_text(text.format(folder=folder, port=self.port))
        (folder / "htpasswd").write_text(HTPASSWD)
        command = [require("registry"), "serve", str(folder / "config.yml")]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, "the registry's answer")

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def registry(folder: Path, *, auth: bool = False) -> Iterator[Registry]:
    """A registry for the time of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Registry(folder, auth=auth)
    try:
        yield made
    finally:
        made.kill()


def push(
    client: DockerClient, reference: str, *, size: int = 100_000, credentials: dict[str, str] | None = None
) -> None:
    """Put an image with `size` bytes that nothing compresses into the registry, and remove it from the engine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("noise")
        entry.size = size
        tar.addfile(entry, io.BytesIO(secrets.token_bytes(size)))
    repository, _, tag = reference.rpartition(":")
    client.api.import_image_from_data(
        buffer.getvalue(), repository=repository, tag=tag, changes=['CMD ["/noise"]']
    )
    try:
        lines = client.api.push(repository, tag, stream=True, decode=True, auth_config=credentials)
        assert not [line for line in lines if "error" in line]
    finally:
        client.images.remove(reference)


class Relay:
    """Carries a TCP port to another, or to a unix socket, at a limited rate (0: none), until it is cut."""

    def __init__(self, target: int | Path, bytes_per_s: int, port: int = 0) -> None:
        relay = self
        self._open: list[socket.socket] = []
        self._cut = threading.Event()

        class Carry(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with connect(target) as inner:
                    relay._open += [inner, self.request]
                    up = threading.Thread(target=relay._pump, args=(self.request, inner, 0), daemon=True)
                    up.start()
                    relay._pump(inner, self.request, bytes_per_s)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Carry, bind_and_activate=False)
        self._server.allow_reuse_address = True
        self._server.server_bind()
        self._server.server_activate()
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, bytes_per_s: int) -> None:
        with suppress(OSError):
            while not self._cut.is_set() and (data := source.recv(16_384)):
                sink.sendall(data)
                if bytes_per_s:
                    time.sleep(len(data) / bytes_per_s)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Break every connection and take no new ones."""
        self._cut.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def connect(target: int | Path) -> socket.socket:
    """Return a connection to a port on loopback or to a unix socket."""
    if isinstance(target, int):
        return socket.create_connection(("127.0.0.1", target))
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(target))
    return made


@contextmanager
def relay(target: int | Path, bytes_per_s: int = 0, port: int = 0) -> Iterator[Relay]:
    """A relay for the time of a block."""
    made = Relay(target, bytes_per_s, port)
    try:
        yield made
    finally:
        made.cut()


def docker_config(folder: Path, registry_host: str, user: str, password: str) -> Path:
    """Write a Docker config with credentials, as `docker login` does; return its folder (DOCKER_CONFIG)."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {registry_host: {"auth": auth}}}))
    path.chmod(0o600)
    return folder

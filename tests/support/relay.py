"""A relay in front of the container engine that can fall silent, as an engine that hangs does."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ENGINE = "/var/run/docker.sock"
CHUNK = 65_536


@dataclass
class Relay:
    """Listens at `path`; once `silent` is set it takes what is said and passes nothing on."""

    path: Path
    silent: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> dict[str, str]:
        """What leads a client here."""
        return {"DOCKER_HOST": f"unix://{self.path}"}

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(ENGINE)
            for source, sink in ((client, engine), (engine, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if not self.silent.is_set():
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def engine_relay() -> Iterator[Relay]:
    """Give a relay to the machine's engine."""
    with (
        tempfile.TemporaryDirectory(prefix="dms-relay-") as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        relay = Relay(Path(folder) / "engine.sock")
        listener.bind(str(relay.path))
        listener.listen()
        threading.Thread(target=relay.serve, args=(listener,), daemon=True).start()
        yield relay

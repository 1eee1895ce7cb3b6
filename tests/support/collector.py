"""A real HTTP server that takes OTLP log lines, on a port of its own; it can be stopped and started again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Ends its connections with it."""

    allow_reuse_address = True
    daemon_threads = True


class Collector:
    """What has been sent so far, and how it is answered."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.asked = 0
        self._port = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def messages(self) -> list[str]:
        """What the lines say."""
        return [str(record["body"]["stringValue"]) for record in self.records]

    def start(self) -> None:
        """Listen; on the port of before, if there was one."""
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                mine.asked += 1
                mine.headers = dict(self.headers)
                if mine.status == 200 and self.path == "/v1/logs":
                    for resource in json.loads(content)["resourceLogs"]:
                        for scope in resource["scopeLogs"]:
                            mine.records += [
                                record | {"resource": resource["resource"]} for record in scope["logRecords"]
                            ]
                self.send_response(mine.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be gone."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def collector() -> Iterator[Collector]:
    """Give a listening collector."""
    made = Collector()
    made.start()
    try:
        yield made
    finally:
        made.stop()

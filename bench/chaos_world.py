"""The world of a run of chaos: an engine and a site of its own, what breaks them, and what watches the engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import redis

from bench.chaos_plan import ENGINE, WIPE, Injection
from bench.site import ROOT
from tests.support.own_engine import OwnEngine

UP_S = 120.0
LOOK_S = 0.15


class Unreachable(Exception):
    """The site does not answer now; somebody asks again."""


@dataclass
class World:
    """One site on one engine; `said` gets a line for everything that is done to them."""

    home: Path
    engine: OwnEngine
    port: int
    said: Callable[[str], None]
    injected: list[str] = field(default_factory=list)
    _supervisor: threading.Lock = field(default_factory=threading.Lock)

    def environment(self) -> dict[str, str]:
        """What the site's processes are started with."""
        return os.environ | {
            "DMS_HOME": str(self.home),
            "DOCKER_HOST": self.engine.address,
            # A process that is killed again and again comes back as quickly as the first time.
            "DMS_RESTART_BACKOFF_MAX_S": "2",
        }

    def cli(self, *args: str, timeout_s: float = UP_S) -> str:
        """Run `./dms ARGS`; RuntimeError with what it said when it fails."""
        done = subprocess.run(
            [str(ROOT / "dms"), *args],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"dms {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def up(self) -> None:
        """Start the site, or find it running. One at a time."""
        with self._supervisor:
            self.cli("up", "--detach", "--port", str(self.port))

    def call(self, path: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the site over REST: POST with a payload, else GET. Raises Unreachable when there is no answer."""
        try:
            token = (self.home / "secrets" / "cli-token").read_text().strip()
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/api/v1{path}",
                data=None if payload is None else json.dumps(payload).encode(),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                document: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code < 500:
                raise RuntimeError(f"{path}: {error.code} {text}") from None
            raise Unreachable(f"{error.code} {text}") from None
        except (OSError, ValueError) as error:
            raise Unreachable(str(error)) from None
        return document

    def all(self, path: str) -> list[dict[str, Any]]:
        """Return every row of a list of the API."""
        found: list[dict[str, Any]] = []
        mark = "&" if "?" in path else "?"
        while True:
            page = self.call(f"{path}{mark}limit=200&offset={len(found)}")
            found += page["items"]
            if not page["items"] or len(found) >= int(page["total"]):
                return found

    def inject(self, fault: Injection) -> None:
        """Do one thing to the world."""
        what = fault.what
        try:
            if what in ENGINE:
                how = signal.SIGKILL if what == "engine-killed" else signal.SIGTERM
                self.engine.end(how)
                self.engine.live_restore = fault.live_restore
                self.engine.start()
                what += " and started " + (
                    "with live-restore" if fault.live_restore else "without live-restore"
                )
            elif what == WIPE:
                client = redis.Redis(unix_socket_path=str(self.home / "run" / "redis.sock"), socket_timeout=5)
                client.flushall()
                client.close()
            else:
                what = self._kill(what)
        except (OSError, redis.RedisError) as error:
            what = f"{what} (found nothing: {error})"
        self.injected.append(what)
        self.said(what)

    def _kill(self, name: str) -> str:
        path = self.home / "run" / "processes.json"
        processes = json.loads(path.read_text())["processes"]
        pid = next((int(one["pid"]) for one in processes if one["name"] == name and one["pid"]), 0)
        if not pid:
            return f"{name} was down already"
        os.kill(pid, signal.SIGKILL)
        if name == "supervisor":
            # It ends its children with it; whoever runs the site starts it again.
            threading.Thread(target=self._up_again, name="up", daemon=True).start()
        return f"{name} killed ({pid})"

    def _up_again(self) -> None:
        try:
            self.up()
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            self.said(f"up after a killed supervisor: {error}")


class Watcher:
    """Looks at the engine all the time: are there ever two attempts of one allocation at once?"""

    def __init__(self, engine: OwnEngine) -> None:
        self._engine = engine
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.looks = 0
        self.doubles: list[str] = []

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        client = docker.DockerClient(base_url=self._engine.address, version="1.41", timeout=10)
        while not self._stop.wait(LOOK_S):
            with suppress(Exception):  # the engine is being restarted
                self._look(client)
        client.close()

    def _look(self, client: docker.DockerClient) -> None:
        seen: dict[str, str] = {}
        for one in client.api.containers(filters={"label": "dms.allocation", "status": "running"}):
            allocation = one["Labels"]["dms.allocation"]
            if allocation in seen:
                self.doubles.append(f"{allocation}: {seen[allocation][:12]} and {one['Id'][:12]}")
            seen[allocation] = one["Id"]
        self.looks += 1


def until(look: Callable[[], bool], *, timeout_s: float, every_s: float = 0.5) -> bool:
    """Look until it is so, or the time is over; a site that does not answer is asked again."""
    limit = time.monotonic() + timeout_s
    while True:
        with suppress(Unreachable):
            if look():
                return True
        if time.monotonic() > limit:
            return False
        time.sleep(every_s)

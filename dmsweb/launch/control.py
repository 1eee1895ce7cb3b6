"""Starting, watching and stopping a site from outside its supervisor. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dmsweb.home import Home
from dmsweb.launch import table

STOP_TIMEOUT_S = 15.0


@dataclass(slots=True)
class Start:
    """A supervisor on its way: its process, and what it reports (see dmsweb.launch.report)."""

    process: subprocess.Popen[bytes]
    reader: int

    def reports(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Yield reports until the site is ready, a fault, or the end of time (a fault of its own)."""
        import select

        until = time.monotonic() + timeout_s
        buffer = b""
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.reader], [], [], left)[0]:
                yield {
                    "fault": f"the site was not ready after {timeout_s:g} s",
                    "hint": "./dms status shows which process",
                }
                return
            chunk = os.read(self.reader, 65536)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)


def start(home: Home, bind: str, port: int, *, detach: bool) -> Start:
    """Start a supervisor; detached it outlives this process, else it stops with it."""
    reader, writer = os.pipe()
    command = [sys.executable, "-P", "-m", "dmsweb.launch.supervisor", "--bind", bind, "--port", str(port)]
    command += ["--report-fd", str(writer)]
    if not detach:
        command.append("--follow-parent")
    with contextlib.ExitStack() as stack:
        log: Any = subprocess.DEVNULL
        with contextlib.suppress(OSError):  # the supervisor says it better when the home cannot be written
            home.create()
            log = stack.enter_context(home.path("log", "supervisor.log").open("ab"))
        process = subprocess.Popen(
            command,
            env={**os.environ, "DMS_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    return Start(process, reader)


def stop(home: Home, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Stop the site of `home` and wait for its end; False when it was not running."""
    pid = table.running_pid(home)
    if pid is None:
        return False
    for number, seconds in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
        if pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if table.running_pid(home) is None:
                return True
            time.sleep(0.05)
    raise TimeoutError(f"the site of {home.root} (supervisor {pid}) does not stop")


def status(home: Home) -> dict[str, Any]:
    """Return the site's state, also when it is down: ready, url, home, did, peer_id, processes."""
    running = table.running_pid(home) is not None
    site = table.read_json(home.path("run", "site.json")) if running else {}
    known = site or table.read_json(home.path("run", "last.json"))
    processes = table.read_json(home.path("run", "processes.json")).get("processes", []) if running else []
    return {
        "ready": bool(site.get("ready")) and all(entry["state"] == "running" for entry in processes),
        "running": running,
        "url": site.get("url"),
        "home": str(home.root),
        "did": known.get("did"),
        "peer_id": known.get("peer_id"),
        "processes": [
            {
                "name": entry["name"],
                "pid": entry["pid"],
                "state": entry["state"],
                "restarts": entry["restarts"],
                "pss_bytes": table.pss_bytes(entry["pid"]) if entry["pid"] else 0,
            }
            for entry in processes
        ],
    }


def remembered_port(home: Home) -> int | None:
    """Return the port of the last start."""
    port = table.read_json(home.path("run", "last.json")).get("port")
    return int(port) if port else None

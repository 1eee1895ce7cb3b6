"""16 threads of one process write without pause; how long does a write of another process take (p99)?

The floor is the same through Django's own SQLite backend, without the gate. Both go through the ORM's cursor
on a file of their own, one transaction a write, as the workers do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.result import Result

THREADS = 16
WRITES = 300
PAUSE_S = 0.005  # the other process writes now and then, and must not wait for the busy one
BAR_MS = 50.0
FLOOR_LIMIT_S = 20.0
GATED = "dmsweb.database.sqlite"
BARE = "django.db.backends.sqlite3"


def connect(engine: str, path: Path) -> Any:
    """Return a connection of `engine` to `path`, set up as the site's."""
    from django.apps import apps
    from django.conf import settings
    from django.db.utils import ConnectionHandler

    if not settings.configured:
        settings.configure()
    apps.populate(settings.INSTALLED_APPS)
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
    }
    handler = ConnectionHandler({"default": {"ENGINE": engine, "NAME": path, "OPTIONS": options}})
    return handler.create_connection("default")


def write(connection: Any, text: str) -> None:
    """Do what a small service does: begin, read a row, change it, add one, commit."""
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT n FROM total")
        number = cursor.fetchone()[0]
        cursor.execute("UPDATE total SET n = %s", [number + 1])
        cursor.execute("INSERT INTO line (text) VALUES (%s)", [text])
    connection.commit()
    connection.set_autocommit(True)


def busy(engine: str, path: Path) -> None:
    """The busy process: threads that write until it is killed."""

    def work() -> None:
        connection = connect(engine, path)
        while True:
            write(connection, "busy")

    for _ in range(THREADS):
        threading.Thread(target=work, daemon=True).start()
    print("busy", flush=True)
    sys.stdin.read()


def measure(engine: str, limit_s: float) -> tuple[float, int, int]:
    """Return the p99 in ms of the writes this process got through, their number, and those of the busy one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db.sqlite3"
        connection = connect(engine, path)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE total (n INTEGER)")
            cursor.execute("CREATE TABLE line (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)")
            cursor.execute("INSERT INTO total VALUES (0)")
        other = subprocess.Popen(
            [sys.executable, "-m", "bench.contend", engine, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert other.stdout is not None
        other.stdout.readline()
        times: list[float] = []
        while _total(connection) < THREADS:
            time.sleep(0.01)
        started = time.monotonic()
        while len(times) < WRITES and time.monotonic() - started < limit_s:
            time.sleep(PAUSE_S)
            before = time.perf_counter()
            write(connection, "other")
            times.append((time.perf_counter() - before) * 1000)
        total = _total(connection)
        other.kill()
        other.wait()
        connection.close()
        times.sort()
        return times[min(len(times) - 1, int(len(times) * 0.99))], len(times), total - len(times)


def _total(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT n FROM total")
        return int(cursor.fetchone()[0])


def run() -> list[Result]:
    """Measure with and without the gate."""
    floor, _, _ = measure(BARE, FLOOR_LIMIT_S)
    ours, _, _ = measure(GATED, FLOOR_LIMIT_S * 3)
    return [Result("contend", round(ours, 2), round(floor, 2), "ms (p99)", BAR_MS, ours < BAR_MS)]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        busy(sys.argv[1], Path(sys.argv[2]))
    else:
        for name in (BARE, GATED):
            p99, done, others = measure(name, FLOOR_LIMIT_S)
            print(f"{name}: p99 {p99:.1f} ms over {done} writes; the busy process did {others}")

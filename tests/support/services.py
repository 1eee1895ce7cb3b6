"""Real services for tests, private to one test process: Redis on a unix socket, a PostgreSQL cluster."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.support.require import require

PATIENCE_S = 30.0


def wait_for(
    condition: Callable[[], object], *, timeout_s: float = PATIENCE_S, what: str = "", every_s: float = 0.05
) -> object:
    """Return the first true answer of `condition`; AssertionError naming `what` after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout_s:g} s for {what or condition}")
        time.sleep(every_s)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis on `folder`/redis.sock and give its URL (unix://...)."""
    program = require("redis")
    socket = folder / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(socket.exists, what="Redis' socket")
            yield f"unix://{socket}"
        finally:
            process.terminate()


@contextmanager
def postgres_cluster(database: str = "dms") -> Iterator[str]:
    """Run a PostgreSQL cluster reachable by unix socket only; give the URL of an empty database in it."""
    programs = Path(require("postgres")).parent
    folder = Path(tempfile.mkdtemp(prefix="dms-pg-"))
    user = _unprivileged(folder)

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(programs / program), *arguments],
            user=user,
            cwd=folder,
            capture_output=True,
            text=True,
            env=_environment(),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    run("initdb", "--pgdata", data, "--username", "dms", "--auth", "trust", "--no-sync", "--encoding", "UTF8")
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=300"
    run("pg_ctl", "--pgdata", data, "--wait", "--log", str(folder / "log"), "--options", options, "start")
    try:
        run("createdb", "--host", str(folder), "--username", "dms", database)
        yield f"postgresql://dms@{quote(str(folder), safe='')}/{database}"
    finally:
        run("pg_ctl", "--pgdata", data, "--mode", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def postgres_database(url: str, name: str) -> str:
    """Make an empty database beside the one of `url`; return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{url.rpartition('/')[0]}/{name}"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}


def _unprivileged(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: give the folder to a user who is not."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            person = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, person.pw_uid, person.pw_gid)
        return name
    raise AssertionError("no unprivileged user on this machine")

"""Run the tests: development packages, the distribution's packages, an engine, browser libraries, pytest."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmsweb.launch.assets import ROOT, assets
from dmsweb.launch.environment import ensure
from dmsweb.launch.testing import packages
from dmsweb.launch.testing.engine import docker_engine

WORKERS_MAX = 4
NOTHING_TO_RUN = 5


def databases(wanted: str | None) -> tuple[str, ...]:
    """Return on which databases to run, one after the other; what is not said depends on CI."""
    if wanted is None:
        wanted = "all" if os.environ.get("CI") == "true" else "sqlite"
    return ("postgresql", "sqlite") if wanted == "all" else (wanted,)


def run_tests(arguments: Sequence[str], on: Sequence[str] = ("sqlite",)) -> int:
    """Run pytest with `arguments` on each database; the first exit code that is not 0 ends it.

    Its summary is the last line printed. On PostgreSQL the tests run that use the database of their own process.
    """
    set_up()
    folder = Path(tempfile.mkdtemp(prefix="dms-tests-"))
    code = 0
    try:
        with docker_engine(folder):
            for name in on:
                _say(f"== tests on {name}")
                with _database(name) as environment:
                    done = subprocess.run(command(arguments), cwd=ROOT, env=environment, check=False)
                # 5: none of the named tests uses the database.
                code = 0 if done.returncode == NOTHING_TO_RUN and len(on) > 1 else done.returncode
                if code:
                    break
        return code
    finally:
        if not os.environ.get("DMS_KEEP_TEST_HOME"):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _database(name: str) -> Iterator[dict[str, str]]:
    """Give the environment of a run: with a PostgreSQL of its own where it needs one."""
    if name == "sqlite":
        yield {key: value for key, value in os.environ.items() if key != "DMS_TEST_DATABASE_URL"}
        return
    sys.path.insert(0, str(ROOT))
    services: Any = importlib.import_module("tests.support.services")  # tests are no part of the program
    with services.postgres_cluster() as url:
        yield {**os.environ, "DMS_TEST_DATABASE_URL": url}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def set_up() -> None:
    """Install what tests and gates need."""
    ensure(Path(sys.prefix), ROOT, "requirements-dev.txt")
    packages.install()
    assets(lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201


def command(arguments: Sequence[str]) -> list[str]:
    """Return pytest's command line: several processes, modules that share something dear kept together."""
    spread = ["-n", str(max(2, min(WORKERS_MAX, os.cpu_count() or 2))), "--dist", "loadgroup"]
    if any(argument.startswith(("-n", "-p no:xdist", "--pdb", "--numprocesses")) for argument in arguments):
        spread = []
    return [sys.executable, "-m", "pytest", "-q", *spread, *arguments]

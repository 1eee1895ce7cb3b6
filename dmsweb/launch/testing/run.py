"""Run the tests: development packages, the distribution's packages, an engine, browser libraries, pytest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dmsweb.launch.assets import ROOT, assets
from dmsweb.launch.environment import ensure
from dmsweb.launch.testing import packages
from dmsweb.launch.testing.engine import docker_engine

WORKERS_MAX = 4


def run_tests(arguments: Sequence[str]) -> int:
    """Run pytest with `arguments`; its exit code, and its summary is the last line printed."""
    set_up()
    folder = Path(tempfile.mkdtemp(prefix="dms-tests-"))
    try:
        with docker_engine(folder):
            return subprocess.run(command(arguments), cwd=ROOT, check=False).returncode
    finally:
        if not os.environ.get("DMS_KEEP_TEST_HOME"):
            shutil.rmtree(folder, ignore_errors=True)


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

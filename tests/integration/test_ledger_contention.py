"""Nobody ever gets what somebody else has: the last core and the last port, on SQLite and on PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PORTS = {"DMS_PORT_RANGE_FROM": "20000", "DMS_PORT_RANGE_TO": "20003"}


def fight(home: Path, threads: int, seed: int, **environment: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.fight", str(threads), str(seed)],
        env=clean
        | PORTS
        | {"DMS_HOME": str(home), "DJANGO_SETTINGS_MODULE": "dmsweb.settings"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: "subprocess.Popen[str]") -> None:
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output[-4000:]


@pytest.mark.parametrize("seed", [1, 2])
def test_two_threads_on_sqlite(tmp_path: Path, seed: int) -> None:
    finished(fight(tmp_path, 2, seed))


def test_many_threads_on_sqlite(tmp_path: Path) -> None:
    finished(fight(tmp_path, 8, 3))


def test_twenty_connections_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    finished(fight(tmp_path, 20, 4, DATABASE_URL=postgres_url))

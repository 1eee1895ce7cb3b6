"""Nobody gets more than her quota by asking many times at once, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROUNDS = 6
LIMIT_S = 120


def race(home: Path, **environment: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.quota_race", str(ROUNDS)],
        env=clean | {"DMS_HOME": str(home), "DJANGO_SETTINGS_MODULE": "dmsweb.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_on_sqlite(tmp_path: Path) -> None:
    race(tmp_path)


def test_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    race(tmp_path, DATABASE_URL=postgres_url)

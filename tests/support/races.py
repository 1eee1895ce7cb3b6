"""Programs in which many workers fight over rows, each in a process and a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIMIT_S = 120


def race(module: str, rounds: int, home: Path, **environment: str) -> None:
    """Run `python -m module rounds` on an empty home; AssertionError with its last words when it finds a fault."""
    clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", module, str(rounds)],
        env=clean | {"DMS_HOME": str(home), "DJANGO_SETTINGS_MODULE": "dmsweb.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

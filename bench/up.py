"""A second start: from `./dms up --detach` to ready, against starting Python with Django's settings twice.

The floor is what nobody avoids here: one process that prepares and then one that serves, each loading Django and
the site's applications.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.result import Result
from bench.site import ROOT, BenchSite

ROUNDS = 3
BAR_S = 6.0
LOAD = "import os,django;os.environ['DJANGO_SETTINGS_MODULE']='dmsweb.settings';django.setup();import dmsweb.urls"


def run() -> list[Result]:
    """Start once for the keys and tables, then measure the starts after it."""
    with tempfile.TemporaryDirectory(prefix="dms-bench-") as folder:
        site = BenchSite(Path(folder) / "home")
        with site:
            pass
        starts = []
        for _ in range(ROUNDS):
            begun = time.monotonic()
            with site:
                starts.append(time.monotonic() - begun)
        environment = os.environ | {"DMS_HOME": str(site.home)}
        begun = time.monotonic()
        for _ in range(2):
            subprocess.run([sys.executable, "-c", LOAD], cwd=ROOT, env=environment, check=True)
        floor = time.monotonic() - begun
    ours = statistics.median(starts)
    return [Result("up", ours, floor, "s", BAR_S, ours < BAR_S)]

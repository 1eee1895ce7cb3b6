"""Every process of the site is killed while 30 containers run: how long after the next start all are watched again.

A container counts as adopted when the new worker has taken a sample of it; none may have been restarted. The floor is
one look at the 30 by a bare client of the engine.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import docker

from bench.deploy_50 import _all_running, _ensemble
from bench.deploy_one import _post, _wait
from bench.result import Result
from bench.site import BenchSite

COUNT = 30
BAR_S = 5.0
PATIENCE_S = 60.0


def _kill_all(site: BenchSite) -> None:
    """End every process of the site without a warning, the supervisor last: it would start the others again."""
    document = json.loads((site.home / "run" / "processes.json").read_text())
    pids = {entry["name"]: int(entry["pid"]) for entry in document["processes"] if entry["pid"]}
    for pid in [pids.pop("supervisor"), *pids.values()]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended with the supervisor
            continue


def _containers(deployment: str) -> dict[str, str]:
    """Return the deployment's running containers with the moments they were started."""
    client = docker.from_env()
    try:
        found = client.containers.list(filters={"label": f"dms.deployment={deployment}"})
        return {str(one.id): str(one.attrs["State"]["StartedAt"]) for one in found}
    finally:
        client.close()


def _adopted(site: BenchSite, deployment: str, since: float) -> int:
    """Return of how many allocations there is a sample that is younger than `since`."""
    asked = {"EnsembleID": deployment, "Limit": COUNT}
    rows: list[dict[str, Any]] = _post(site, "/dms/node/allocation/stats", asked)["Allocations"]
    moments = [row.get("at") for row in rows]
    return sum(1 for at in moments if at and datetime.fromisoformat(at).timestamp() > since)


def run() -> list[Result]:
    """Deploy, kill, start again, and watch."""
    with tempfile.TemporaryDirectory(prefix="dms-bench-") as folder, BenchSite(Path(folder) / "home") as site:
        site.cli("onboard", "--cpu", "1", "--ram", "6GiB", "--disk", "6GiB", "--no-gpu")
        body = {"Ensemble": _ensemble(COUNT), "DeadlineSeconds": 300}
        deployment = _post(site, "/dms/node/deployment/new", body)["EnsembleID"]
        _all_running(site, [deployment])
        before = _containers(deployment)
        _kill_all(site)
        killed = time.time()
        site.cli("up", "--detach", "--port", "0")
        ready = time.time()
        while (adopted := _adopted(site, deployment, killed)) < COUNT:
            if time.time() - ready > PATIENCE_S:
                break
            time.sleep(0.1)
        ours = time.time() - ready
        begun = time.monotonic()
        after = _containers(deployment)
        floor = time.monotonic() - begun
        shown = _post(site, "/dms/node/deployment/info", {"ID": deployment})
        unharmed = before == after and len(after) == COUNT
        unharmed &= all(row["attempt"] == 1 for row in shown["Allocations"])
        _post(site, "/dms/node/deployment/shutdown", {"ID": deployment})
        _wait(site, deployment, {"Completed"})
    return [Result("recover", ours, floor, "s", BAR_S, ours < BAR_S and adopted == COUNT and unharmed)]

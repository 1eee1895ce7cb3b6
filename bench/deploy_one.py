"""One container, image local, one node: from sending the POST to the Running event, against `docker run -d`."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.result import Result
from bench.site import BenchSite

ROUNDS = 10
ADDED_BAR_S = 0.3
IMAGE = "dms.local/base:1"
ENSEMBLE = f"""
version: "V1"
allocations:
  sleeper:
    type: service
    executor: docker
    resources: {{cpu: {{cores: 0.1}}, ram: {{size: 64MiB}}, disk: {{size: 64MiB}}}}
    execution: {{type: docker, image: "{IMAGE}", cmd: ["sleep", "600"]}}
nodes:
  here: {{allocations: [sleeper]}}
"""


def _post(site: BenchSite, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{site.url}/api/v1{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {site.token}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def _wait(site: BenchSite, deployment: str, states: set[str]) -> dict[str, Any]:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        info = _post(site, "/dms/node/deployment/info", {"ID": deployment})
        if info["Status"] in states:
            return info
        if info["Status"] == "Failed":
            raise RuntimeError(f"{deployment} failed: {info['Reason']}")
        time.sleep(0.05)
    raise TimeoutError(f"{deployment} is still {info['Status']}")


def _ours(site: BenchSite) -> float:
    begun = time.time()
    deployment = _post(site, "/dms/node/deployment/new", {"Ensemble": ENSEMBLE})["EnsembleID"]
    info = _wait(site, deployment, {"Running"})
    moments = [event["at"] for event in info["Events"] if event["data"].get("to") == "Running"]
    took = datetime.fromisoformat(moments[0]).timestamp() - begun
    _post(site, "/dms/node/deployment/shutdown", {"ID": deployment})
    _wait(site, deployment, {"Completed"})
    return took


def _docker_run() -> float:
    limits = ["--memory", "64m", "--cpus", "0.1"]
    begun = time.perf_counter()
    container = subprocess.run(
        ["docker", "run", "-d", *limits, IMAGE, "sleep", "600"], check=True, capture_output=True, text=True
    ).stdout.strip()
    took = time.perf_counter() - begun
    subprocess.run(["docker", "rm", "-f", container], check=True, capture_output=True)
    return took


def run() -> list[Result]:
    """Measure both in turn and return medians in seconds; the bar is the floor + 0.3 s."""
    home = Path(tempfile.mkdtemp(prefix="dms-bench-"))
    try:
        with BenchSite(home) as site:
            site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
            _ours(site)  # builds the image
            pairs = [(_ours(site), _docker_run()) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    ours = statistics.median(pair[0] for pair in pairs)
    floor = statistics.median(pair[1] for pair in pairs)
    return [
        Result(
            name="deploy-one",
            ours=ours,
            floor=floor,
            unit="s",
            bar=floor + ADDED_BAR_S,
            passed=ours <= floor + ADDED_BAR_S,
        )
    ]

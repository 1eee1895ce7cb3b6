"""How soon a follower sees a line while 20 allocations write 250 lines a second each: the 99th percentile.

The floor is a bare reader of the very file that the log is kept in, in the same run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from bench.deploy_one import _post, _wait
from bench.result import Result
from bench.site import BenchSite

ALLOCATIONS = 20
WATCH_S = 15.0
BAR_S = 0.2
LOOK_EVERY_S = 0.002
# Ten lines, twenty-five times a second, each with the moment of its writing.
WRITER = (
    "import sys, time\n"
    "while True:\n"
    "    for _ in range(10):\n"
    "        sys.stdout.write(f'{time.time_ns()} the line that somebody waits for\\n'); sys.stdout.flush()\n"
    "    time.sleep(0.04)\n"
)


def _ensemble() -> str:
    allocation = {
        "type": "service",
        "executor": "process",
        "resources": {"cpu": {"cores": 0.05}, "ram": {"size": "64MiB"}, "disk": {"size": "64MiB"}},
        "execution": {"type": "process", "cmd": ["/usr/bin/python3", "-I", "-S", "-c", WRITER]},
    }
    names = [f"writer{number}" for number in range(ALLOCATIONS)]
    document = {
        "allocations": dict.fromkeys(names, allocation),
        "nodes": {"here": {"allocations": names}},
    }
    return json.dumps(document)


def _ages(line: bytes, seen_ns: int, into: list[float]) -> None:
    stamp = line.split(b" ", 1)[0]
    if len(stamp) == 19 and stamp.isdigit():
        into.append((seen_ns - int(stamp)) / 1e9)


def _follow(site: BenchSite, allocation: str, into: list[float], until: float) -> None:
    request = urllib.request.Request(
        f"{site.url}/api/v1/allocations/{allocation}/logs/?follow=1&tail=0&stream=stdout",
        headers={"Authorization": f"Bearer {site.token}"},
    )
    rest = b""
    with urllib.request.urlopen(request, timeout=60) as answer:
        while time.monotonic() < until and (chunk := answer.read1(65_536)):
            seen_ns = time.time_ns()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _ages(line, seen_ns, into)


def _read_file(path: Path, into: list[float], until: float) -> None:
    rest = b""
    with path.open("rb", buffering=0) as file:
        file.seek(0, 2)
        while time.monotonic() < until:
            chunk = file.read(65_536)
            if not chunk:
                time.sleep(LOOK_EVERY_S)
                continue
            seen_ns = time.time_ns()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _ages(line, seen_ns, into)


def _p99(ages: list[float]) -> float:
    if len(ages) < WATCH_S * 100:
        raise RuntimeError(f"only {len(ages)} lines were seen")
    return sorted(ages)[int(len(ages) * 0.99)]


def run() -> list[Result]:
    """Follow one of the allocations through the site, and its file directly."""
    home = Path(tempfile.mkdtemp(prefix="dms-bench-"))
    ours: list[float] = []
    floor: list[float] = []
    try:
        with BenchSite(home) as site:
            site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
            deployment = _post(site, "/dms/node/deployment/new", {"Ensemble": _ensemble()})["EnsembleID"]
            info = _wait(site, deployment, {"Running"})
            followed = info["Allocations"][0]
            (path,) = (home / "work" / "process").glob(f"*/{followed['execution_id']}/stdout.log")
            until = time.monotonic() + WATCH_S
            reader = threading.Thread(target=_read_file, args=(path, floor, until))
            reader.start()
            _follow(site, followed["id"], ours, until)
            reader.join()
            _post(site, "/dms/node/deployment/shutdown", {"ID": deployment})
            _wait(site, deployment, {"Completed"})
    finally:
        shutil.rmtree(home, ignore_errors=True)
    seen = _p99(ours)
    return [Result("logs", seen, _p99(floor), "s (p99)", BAR_S, seen <= BAR_S)]

"""Fifty containers, image local, one node: from sending the POST until all run, against 50 bare starts and Swarm.

`deploy-50` is one deployment of 50 allocations, `deploy-50-apart` 50 deployments of one allocation each, sent at once.
The floor is 50 times create and start by the Docker SDK on 8 threads, Swarm a service of 50 replicas. All in turn, on
one engine of the bench's own, which takes root and dockerd. Everybody gets the same: limits, as what starts a container
runs within its share of the CPU already, so that a small one decides how long that takes; and a network in which names
are resolved, one a deployment, which costs the engine as much again. What 50 containers take on the default bridge,
where they do not find each other, is told beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.deploy_one import IMAGE, _post, _wait
from bench.result import Result
from bench.site import BenchSite
from bench.swarm import Swarm

COUNT = 50
THREADS = 8
ROUNDS = 3
BAR_RATIO = 1.25
CORES = 0.02
RAM_MIB = 64
MEBIBYTE = 1 << 20
PATIENCE_S = 300.0
# Ends at once when it is told to.
COMMAND = ["sh", "-c", "trap exit TERM; sleep 600 & wait"]


def _ensemble(count: int) -> str:
    allocation = {
        "type": "service",
        "executor": "docker",
        "resources": {
            "cpu": {"cores": CORES},
            "ram": {"size": f"{RAM_MIB}MiB"},
            "disk": {"size": "64MiB"},
        },
        "execution": {"type": "docker", "image": IMAGE, "cmd": COMMAND},
    }
    names = [f"sleeper{number}" for number in range(count)]
    return json.dumps(
        {"allocations": dict.fromkeys(names, allocation), "nodes": {"here": {"allocations": names}}}
    )


def _running_at(info: dict[str, Any]) -> float:
    moments = [event["at"] for event in info["Events"] if event["data"].get("to") == "Running"]
    return datetime.fromisoformat(moments[0]).timestamp()


def _all_running(site: BenchSite, deployments: list[str]) -> float:
    """Return when the last of these began to run. They are asked seldom: the machine has better things to do."""
    last = 0.0
    limit = time.monotonic() + PATIENCE_S
    for deployment in deployments:
        while (info := _post(site, "/dms/node/deployment/info", {"ID": deployment}))["Status"] != "Running":
            if info["Status"] == "Failed" or time.monotonic() > limit:
                raise RuntimeError(f"{deployment} is {info['Status']}: {info['Reason']}")
            time.sleep(0.5)
        last = max(last, _running_at(info))
    return last


def _ours(site: BenchSite, count: int, each: int) -> float:
    """Return how long `count` deployments of `each` containers take."""
    body = {"Ensemble": _ensemble(each), "DeadlineSeconds": PATIENCE_S}
    begun = time.time()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: _post(site, "/dms/node/deployment/new", body), range(count)))
    deployments = [answer["EnsembleID"] for answer in answers]
    took = _all_running(site, deployments) - begun
    for deployment in deployments:
        _post(site, "/dms/node/deployment/shutdown", {"ID": deployment})
    for deployment in deployments:
        _wait(site, deployment, {"Completed"})
    return took


def _bare(networks: int) -> float:
    """Return how long 50 containers take by the SDK alone, spread over `networks`; 0: on the default bridge."""
    import docker

    client = docker.from_env(max_pool_size=THREADS)

    def connect(number: int) -> None:
        pools = [docker.types.IPAMPool(subnet=f"10.212.{number}.0/24")]
        client.api.create_network(f"bare-{number}", ipam=docker.types.IPAMConfig(pool_configs=pools))

    def start(number: int) -> str:
        name = f"bare-{number % networks}" if networks else "bridge"
        if networks == COUNT:
            connect(number)
        host = client.api.create_host_config(
            network_mode=name, mem_limit=RAM_MIB * MEBIBYTE, nano_cpus=int(CORES * 1e9)
        )
        made: str = client.api.create_container(IMAGE, COMMAND, host_config=host)["Id"]
        client.api.start(made)
        return made

    begun = time.perf_counter()
    if networks == 1:
        connect(0)
    with ThreadPoolExecutor(THREADS) as pool:
        made = list(pool.map(start, range(COUNT)))
    took = time.perf_counter() - begun
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda key: client.api.remove_container(key, force=True), made))
    for number in range(networks):
        client.api.remove_network(f"bare-{number}")
    client.close()
    return took


def run() -> list[Result]:
    """Measure all in turn on one engine and return medians in seconds."""
    home = Path(tempfile.mkdtemp(prefix="dms-bench-"))
    taken: dict[str, list[float]] = {}
    try:
        with Swarm() as engine:
            os.environ["DOCKER_HOST"] = engine.address
            with BenchSite(home) as site:
                site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "4GiB", "--no-gpu")
                _ours(site, 1, 1)  # builds the image
                ways: dict[str, Callable[[], float]] = {
                    "bridge": lambda: _bare(0),
                    "bare": lambda: _bare(1),
                    "bare-apart": lambda: _bare(COUNT),
                    "together": lambda: _ours(site, 1, COUNT),
                    "apart": lambda: _ours(site, COUNT, 1),
                    "swarm": lambda: engine.service(COUNT, IMAGE, COMMAND, cpu=CORES, ram=f"{RAM_MIB}m"),
                }
                for _ in range(ROUNDS):
                    for name, way in ways.items():
                        taken.setdefault(name, []).append(way())
                        print(f"{name}: {taken[name][-1]:.2f} s", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    names = ("together", "apart", "bare", "bare-apart", "swarm")
    together, apart, bare, bare_apart, swarm = (statistics.median(taken[name]) for name in names)
    return [
        Result("deploy-50", together, bare, "s", BAR_RATIO, together <= BAR_RATIO * bare, "ratio"),
        Result(
            "deploy-50-apart", apart, bare_apart, "s", BAR_RATIO, apart <= BAR_RATIO * bare_apart, "ratio"
        ),
        Result("deploy-50-swarm", together, swarm, "s", 1.0, together < swarm, "ratio"),
    ]

"""What the tests of a working site share: small ensembles, and looks at what has become of them."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import docker
import httpx

from tests.support.services import wait_for
from tests.support.site import Site

IMAGE = "dms.local/base:1"
LOOK_EVERY_S = 0.2
PATIENCE_S = 60.0


def onboard_when_free(site: Site) -> None:
    """Onboard the machine; refused while the tests beside this one keep every core busy."""
    amounts = ("--cpu", "1", "--ram", "4GiB", "--disk", "5GiB", "--no-gpu")
    wait_for(
        lambda: site.cli("onboard", *amounts, check=False).returncode == 0, timeout_s=90, what="a free core"
    )


def ensemble(
    command: str | list[str],
    *,
    kind: str = "service",
    executor: str = "docker",
    image: str = IMAGE,
    disk: str = "64MiB",
    ports: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return an ensemble of one allocation `one` that runs a shell command, or the words of a list."""
    execution: dict[str, Any] = {
        "type": executor,
        "cmd": ["sh", "-c", command] if isinstance(command, str) else command,
    }
    if executor == "docker":
        execution["image"] = image
    allocation = {
        "type": kind,
        "executor": executor,
        "resources": {"cpu": {"cores": 0.05}, "ram": {"size": "64MiB"}, "disk": {"size": disk}},
        "execution": execution,
    }
    here: dict[str, Any] = {"allocations": ["one"]}
    if ports:
        here["ports"] = [{"allocation": "one", **port} for port in ports]
    return {"allocations": {"one": allocation | changes}, "nodes": {"here": here}}


def call(site: Site, behavior: str, **payload: Any) -> dict[str, Any]:
    """Invoke a behavior of deployments over REST: quicker than the command line, which tests elsewhere use."""
    headers = {"Authorization": f"Bearer {site.token}"}
    url = f"{site.url}/api/v1/dms/node/deployment/{behavior}"
    with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
        answer = client.post(url, json=payload)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def deploy(site: Site, tree: dict[str, Any], **payload: Any) -> str:
    """Submit an ensemble; return the deployment's id."""
    return str(call(site, "new", Ensemble=json.dumps(tree), **payload)["EnsembleID"])


def info(site: Site, deployment: str) -> dict[str, Any]:
    """Return everything about a deployment."""
    return call(site, "info", ID=deployment)


def allocation(site: Site, deployment: str) -> dict[str, Any]:
    """Return the deployment's only allocation."""
    (found,) = info(site, deployment)["Allocations"]
    return dict(found)


def reached(site: Site, deployment: str, status: str) -> dict[str, Any]:
    """Wait until the deployment has this status and return everything about it."""
    final = {"Completed", "Failed"}

    def look() -> dict[str, Any] | None:
        shown = info(site, deployment)
        assert shown["Status"] == status or shown["Status"] not in final, (shown, site.log("worker")[-3000:])
        return shown if shown["Status"] == status else None

    found = wait_for(look, timeout_s=PATIENCE_S, what=f"{status} of {deployment}", every_s=LOOK_EVERY_S)
    assert isinstance(found, dict)
    return found


def shut_down(site: Site, *deployments: str) -> None:
    """Shut deployments down and wait for their end."""
    for deployment in deployments:
        call(site, "shutdown", ID=deployment)
    for deployment in deployments:
        reached(site, deployment, "Completed")


def containers(deployment: str) -> list[str]:
    """Return the ids of the deployment's containers, running or not."""
    return _marked("containers", deployment)


def networks(deployment: str) -> list[str]:
    """Return the ids of the deployment's networks."""
    return _marked("networks", deployment)


def no_network(deployment: str) -> bool:
    """Say whether the deployment's network is gone."""
    return not networks(deployment)


def _marked(collection: str, deployment: str) -> list[str]:
    client = docker.from_env()
    options: dict[str, Any] = {"filters": {"label": f"dms.deployment={deployment}"}}
    if collection == "containers":
        # One that goes while the list is read is gone.
        options |= {"all": True, "ignore_removed": True}
    try:
        return [str(found.id) for found in getattr(client, collection).list(**options)]
    finally:
        client.close()


def process(site: Site, name: str) -> dict[str, Any]:
    """Return what the supervisor says about one process."""
    return next(dict(entry) for entry in site.json("status")["processes"] if entry["name"] == name)


def kill(site: Site, name: str) -> int:
    """End a process of the site without any warning; return its pid."""
    pid = int(process(site, name)["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def replaced(site: Site, name: str, pid: int) -> None:
    """Wait until the supervisor has put another process in the killed one's place."""

    def look() -> bool:
        now = process(site, name)
        return bool(now["state"] == "running" and now["pid"] != pid)

    wait_for(look, timeout_s=PATIENCE_S, what=f"another {name}", every_s=LOOK_EVERY_S)

"""`demo`: from nothing to a real ensemble that has run, and a dashboard to look at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from capabilities.refusal import Refusal
from dmsweb.cli.deployments import ensemble_text, everything, wait_for
from dmsweb.cli.output import EXIT_FAILED
from dmsweb.cli.session import Session, verb
from dmsweb.cli.site import DEFAULT_PORT
from dmsweb.launch import control
from dmsweb.launch.fault import StartFault
from dmsweb.launch.listen import listening

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHARE_OF_MEMORY = 4
DISK = "2GiB"
FACTS_TIMEOUT_S = 30.0
RUN_TIMEOUT_S = 180.0
POLL_S = 0.1


@verb("demo", help="Bring up a site, deploy an example and show it.")
@click.option("--once", is_flag=True, help="Stop the site again afterwards, if it was not running before.")
def demo(session: Session, once: bool) -> None:
    """Start, onboard, deploy, show the log and the way into the dashboard."""
    say = session.output.log
    was_running = bool(control.status(session.home)["ready"])
    if not was_running:
        say("starting the site")
        if once or _taken(session):
            _dms(session, "up", "--detach", "--port", "0")
        else:
            _dms(session, "up", "--detach")
    try:
        answer = _run(session, say)
    finally:
        if once and not was_running:
            _dms(session, "down")
    session.show(answer, lambda out: _people(out.line, answer, once))
    if answer["status"] != "Completed":
        session.exit(EXIT_FAILED)


def _taken(session: Session) -> bool:
    """Say whether nobody chose a port and something else has the usual one."""
    if os.environ.get("DMS_PORT") or control.remembered_port(session.home):
        return False
    try:
        listening("127.0.0.1", DEFAULT_PORT).close()
    except StartFault:
        session.output.log(f"port {DEFAULT_PORT} is in use; taking a free one")
        return True
    return False


def _run(session: Session, say: Any) -> dict[str, Any]:
    node = _node(session)
    if not session.call("/dms/node/onboarding/status", {})["onboarded"]:
        ram = int(session.call("/dms/node/hardware/spec", {})["Resources"]["ram"]["size"]) // SHARE_OF_MEMORY
        say(f"onboarding: 1 core, {ram / (1 << 30):.1f} GiB of memory, {DISK} of disk")
        offer = {"cpu": {"cores": 1}, "ram": {"size": f"{ram >> 20}MiB"}, "disk": {"size": DISK}}
        session.call(
            "/dms/node/onboarding/onboard", {"NoGPU": True, "Config": {"onboarded_resources": offer}}
        )
    docker = node["executors"].get("docker", {})
    executor = "docker" if docker.get("available") else "process"
    if executor == "process":
        why = docker.get("detail") or "no engine"
        say(f"Docker cannot be used here ({why}); the same workload runs in a sandboxed process")
    file = EXAMPLES / ("hello.yaml" if executor == "docker" else "hello-process.yaml")
    say(f"deploying {file.relative_to(EXAMPLES.parent)}")
    submitted = time.time()
    created = session.call("/dms/node/deployment/new", {"Ensemble": ensemble_text(str(file))})
    document = wait_for(session, created["EnsembleID"], RUN_TIMEOUT_S)
    for event in everything(session, document["id"])["events"]:
        say(f"  {event['text']}")
    logs = session.call("/dms/node/deployment/logs", {"EnsembleID": document["id"], "AllocationName": ""})
    running = document["running_at"]
    return {
        "status": document["status"],
        "reason": document["reason"],
        "executor": executor,
        "log": logs["Stdout"],
        "submit_to_running_s": round(datetime.fromisoformat(running).timestamp() - submitted, 3)
        if running
        else None,
        "deployment_id": document["id"],
        "url": json.loads(_dms(session, "user", "login-link", "--json"))["login_url"],
    }


def _node(session: Session) -> dict[str, Any]:
    """Return the site's node once its worker has said what it can run."""
    limit = time.monotonic() + FACTS_TIMEOUT_S
    while True:
        items: list[dict[str, Any]] = session.get("/nodes/")["items"]
        if items and items[0]["executors"]:
            return items[0]
        if time.monotonic() > limit:
            log = session.home.path("log", "worker.log")
            raise Refusal("timed_out", "the node's worker has not reported its executors", hint=f"see {log}")
        time.sleep(POLL_S)


def _dms(session: Session, *args: str) -> str:
    """Run another verb on the same home; its progress goes to stderr."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dmsweb.cli",
            *args,
            *(["--json"] if session.json and args[0] == "up" else []),
        ],
        env=os.environ | {"DMS_HOME": str(session.home.root)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        if session.json:
            raise _forwarded(done.stdout, f"./dms {' '.join(args)}")
        raise Refusal("failed", f"./dms {' '.join(args)} failed", hint="the lines above say why")
    if args[0] == "up":
        sys.stderr.write(done.stdout)
    return done.stdout


def _forwarded(stdout: str, command: str) -> Refusal:
    """Return the refusal whose problem document another verb printed."""
    try:
        document = json.loads(stdout)
        code = str(document["type"]).rpartition(":")[2]
    except (ValueError, KeyError, TypeError):
        return Refusal("failed", f"{command} failed", hint="the lines above say why")
    detail = f"{command} failed: {document.get('detail', '')}"
    return Refusal(code, detail, hint=str(document.get("hint", "")))


def _people(line: Any, answer: dict[str, Any], once: bool) -> None:
    line(f"\n{answer['status']} with the {answer['executor']} executor; its log:\n")
    line(answer["log"])
    if answer["submit_to_running_s"] is not None:
        line(f"from submit to running: {answer['submit_to_running_s']} s")
    if not once:
        line(f"dashboard, logged in once: {answer['url']}\nstop the site with ./dms down")

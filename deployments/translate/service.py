"""One service of a compose file: what it says about its allocation."""

from __future__ import annotations

import shlex
from collections.abc import Mapping as Variables
from dataclasses import dataclass, field
from typing import Any

from deployments.ensemble.names import is_image
from deployments.ensemble.problems import Mark
from deployments.ensemble.tree import Mapping, Scalar
from deployments.translate.environment import read_environment
from deployments.translate.health import read_health
from deployments.translate.mounts import Sources, read_mounts
from deployments.translate.notes import Files, Part, words
from deployments.translate.ports import Port, read_ports
from deployments.translate.restarts import Restarts, read_restarts
from deployments.translate.sizing import Sizing, read_sizing

MAX_REPLICAS = 100
HEALTHY, COMPLETED, STARTED = "service_healthy", "service_completed_successfully", "service_started"
# Means the same in an ensemble, or nothing to the workload.
SILENT = frozenset({"expose", "labels", "annotations", "profiles", "attach", "pull_policy"})
WHY = {
    "build": "the build",
    "cap_add": "added kernel capabilities: a workload does not get them",
    "configs": "configs: put them into a volume or the image",
    "devices": "devices other than GPUs: a workload does not get them",
    "dns": "name servers of its own",
    "init": "an init process of its own: write it into `entrypoint`",
    "logging": "logging drivers: logs are kept by the node",
    "network_mode": "network modes: the ensemble's own network takes its place",
    "platform": "the platform: write `resources.cpu.architecture` for it",
    "read_only": "a root file system that is only read",
    "secrets": "secrets: put them into `environment` or a volume",
    "security_opt": "security options: the node's own hold",
    "stdin_open": "standard input: ./dms exec opens a shell",
    "stop_grace_period": "the time to stop: the node's own holds",
    "stop_signal": "another signal to stop",
    "tmpfs": "tmpfs mounts: the container's own disk takes their place",
    "tty": "a terminal of its own: ./dms exec opens one",
}


@dataclass(slots=True)
class Service:
    """What a service says, read; names are still the file's."""

    name: str
    path: str
    mark: Mark
    execution: dict[str, Any]
    sizing: Sizing
    restarts: Restarts
    ports: list[Port]
    volumes: list[dict[str, Any]]
    health: dict[str, Any] | None
    depends_on: dict[str, tuple[str, Mark]]
    beside: list[str]
    replicas: int
    aliases: list[tuple[str, str, Mark]] = field(default_factory=list)
    task: bool = False
    awaited_to_end: bool = False

    @property
    def texts(self) -> list[str]:
        """Everything in which it may name another service."""
        environment = [entry.partition("=")[2] for entry in self.execution.get("environment", ())]
        return [*environment, *self.execution.get("cmd", ()), *self.execution.get("entrypoint", ())]


def read_service(
    name: str, service: Part, sources: Sources, files: Files, environ: Variables[str, str]
) -> Service:
    """Return the service; what it cannot say in an ensemble is in the notes."""
    deploy = service.part("deploy")
    found = Service(
        name=name,
        path=service.path,
        mark=service.node.mark,
        execution=_execution(name, service, sources.project, files, environ),
        sizing=read_sizing(service, deploy),
        restarts=read_restarts(service, deploy),
        ports=read_ports(service),
        volumes=read_mounts(service, sources, files),
        health=read_health(service),
        depends_on=_depends_on(service),
        beside=_beside(service),
        replicas=_replicas(service, deploy),
        aliases=_aliases(service),
    )
    if deploy is not None:
        deploy.rest(silent=frozenset({"labels"}))
    service.rest(why=WHY, silent=SILENT)
    return found


def _execution(
    name: str, service: Part, project: str, files: Files, environ: Variables[str, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "docker", "image": _image(name, service, project)}
    for key, ours in (("entrypoint", "entrypoint"), ("command", "cmd")):
        if command := _command(service, key):
            found[ours] = command
    if environment := read_environment(service, files, environ):
        found["environment"] = environment
    for key, ours in (("working_dir", "working_directory"), ("user", "user")):
        if (text := service.text(key)).strip():
            found[ours] = text
    if service.true("privileged"):
        found["privileged"] = True
        service.lost("privileged", "privileged is kept, but the node's owner must allow it")
    return found


def _image(name: str, service: Part, project: str) -> str:
    image = service.text("image")
    if service.node.items.get("build") is not None:
        if not image:
            # The name that compose itself gives to what it builds.
            image = f"{project}-{name}".lower() if project else name.lower()
        service.taken.add("build")
        service.lost("build", f"the build: the image {image[:80]} must be there", "build and push it first")
    if not image:
        service.notes.refuse(
            service.path, service.node.mark, "the service has no image", "write `image: NAME`"
        )
    elif not is_image(image):
        service.notes.refuse(
            service.at("image"),
            service.mark("image"),
            f"{image[:80]!r} is no image name",
            "registry/name:tag",
        )
    return image


def _command(service: Part, key: str) -> list[str]:
    node = service.take(key)
    if node is None:
        return []
    if isinstance(node, Scalar):
        try:
            return shlex.split(node.text)
        except ValueError as fault:
            service.notes.refuse(
                service.at(key), node.mark, f"no command: {fault}", "close the quotes, or write a list"
            )
            return []
    found = words(node)
    if found is None:
        service.notes.refuse(service.at(key), node.mark, "a command is a text or a list of words")
    return found or []


def _depends_on(service: Part) -> dict[str, tuple[str, Mark]]:
    node = service.take("depends_on")
    found: dict[str, tuple[str, Mark]] = {}
    if isinstance(node, Mapping):
        for name, item in node.items.items():
            condition = STARTED
            if isinstance(item, Mapping):
                part = Part(service.notes, f"{service.at('depends_on')}.{name}", item)
                condition = part.text("condition") or STARTED
                part.take("required")
                if part.true("restart"):
                    part.lost(
                        "restart", "restarting with the other service: write `failure_recovery: rest_for_one`"
                    )
            if condition not in (HEALTHY, COMPLETED, STARTED):
                service.lost("depends_on", f"the condition {condition[:40]!r} is none of compose's")
                condition = STARTED
            found[name] = (condition, node.mark_of(name))
        return found
    for _, row in service.rows("depends_on"):
        if isinstance(row, Scalar):
            found[row.text] = (STARTED, row.mark)
    for _, row in service.rows("links"):
        if isinstance(row, Scalar):
            found.setdefault(row.text.partition(":")[0], (STARTED, row.mark))
    return found


def _beside(service: Part) -> list[str]:
    """Return services that must sit on the same node, though it does not wait for them."""
    found = []
    for path, row in service.rows("volumes_from"):
        text = row.text if isinstance(row, Scalar) else ""
        found.append(text.partition(":")[0])
        service.notes.lost(path, row.mark, f"the volumes of {text[:60]}: list them here again")
    for key in ("network_mode", "pid", "ipc"):
        text = service.text(key)
        if text in ("", "bridge", "private", "shareable"):
            continue
        if text.startswith("service:"):
            found.append(text.partition(":")[2])
        service.lost(key, WHY["network_mode"] if key == "network_mode" else f"sharing {key}")
    return found


def _replicas(service: Part, deploy: Part | None) -> int:
    found = 1
    for part, key in ((service, "scale"), (deploy, "replicas")):
        text = part.text(key) if part else ""
        if part is None or not text:
            continue
        if text.isascii() and text.isdigit() and len(text) < 7 and int(text) <= MAX_REPLICAS:
            found = int(text)
        else:
            part.notes.refuse(part.at(key), part.mark(key), f"{text[:20]!r} copies", f"0 to {MAX_REPLICAS}")
    if deploy is not None and deploy.text("mode") == "global":
        deploy.lost("mode", "one on every machine: it is there once")
    return found


def _aliases(service: Part) -> list[tuple[str, str, Mark]]:
    found = []
    for key in ("hostname", "container_name"):
        if text := service.text(key):
            found.append((text, service.at(key), service.mark(key)))
    networks = service.take("networks")
    if isinstance(networks, Mapping):
        for name in networks.items:
            one = Part(service.notes, service.at("networks"), networks).part(name)
            if one is None:
                continue
            for path, row in one.rows("aliases"):
                if isinstance(row, Scalar) and row.text:
                    found.append((row.text, path, row.mark))
            one.rest()
    count = len(getattr(networks, "items", ()))
    if count > 1:
        service.lost(
            "networks", f"{count} networks apart: an ensemble has one, in which all reach each other"
        )
    return found

"""The ensemble that `./dms run` stands for: one task, on one node. No Django, no site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

ALLOCATION: Final = "main"
NODE: Final = "here"
LONGEST_NAME: Final = 60
_PORT = re.compile(r"(?:(?P<public>[0-9]{1,5}):)?(?P<private>[0-9]{1,5})(?:/(?P<protocol>tcp|udp))?")


class Unclear(ValueError):
    """An option says nothing that can be carried out; says what would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """What the options of `run` say; the sizes are written as in an ensemble."""

    executor: str
    image: str
    command: Sequence[str]
    cpu: float
    ram: str
    disk: str
    gpus: int = 0
    environment: Sequence[str] = ()
    ports: Sequence[str] = ()
    volumes: Sequence[str] = ()
    name: str = ""

    def ensemble(self) -> dict[str, Any]:
        """Return the ensemble. Raises Unclear on a port, volume or variable that cannot be read."""
        execution: dict[str, Any] = {"type": self.executor}
        if self.image:
            execution["image"] = self.image
        if self.command:
            execution["cmd"] = list(self.command)
        if self.environment:
            execution["environment"] = [variable(text) for text in self.environment]
        resources: dict[str, Any] = {
            "cpu": {"cores": self.cpu},
            "ram": {"size": self.ram},
            "disk": {"size": self.disk},
        }
        if self.gpus:
            resources["gpus"] = [{} for _ in range(self.gpus)]
        allocation: dict[str, Any] = {
            "type": "task",
            "executor": self.executor,
            "resources": resources,
            "execution": execution,
        }
        if self.volumes:
            allocation["volume"] = [volume(text) for text in self.volumes]
        node: dict[str, Any] = {"allocations": [ALLOCATION]}
        if self.ports:
            node["ports"] = [port(text) for text in self.ports]
        return {
            "version": "V1",
            "metadata": {"name": self.name or self._said()},
            "allocations": {ALLOCATION: allocation},
            "nodes": {NODE: node},
        }

    def _said(self) -> str:
        return " ".join([*([self.image] if self.image else []), *self.command])[:LONGEST_NAME]


def variable(text: str) -> str:
    """Return `KEY=VALUE`. Raises Unclear."""
    if not text.partition("=")[1]:
        raise Unclear(f"--env {text}: write KEY=VALUE")
    return text


def port(text: str) -> dict[str, Any]:
    """Return the port of `[PUBLIC:]PRIVATE[/udp]`; without PUBLIC any free one. Raises Unclear."""
    found = _PORT.fullmatch(text)
    if found is None:
        raise Unclear(f"--port {text}: write [PUBLIC:]PRIVATE[/udp], such as 8080, 20000:8080 or 53/udp")
    return {
        "public": int(found["public"] or 0),
        "private": int(found["private"]),
        "allocation": ALLOCATION,
        "protocol": found["protocol"] or "tcp",
    }


def volume(text: str) -> dict[str, Any]:
    """Return the volume of `NAME:/path[:ro]`; NAME may be an absolute path of the host. Raises Unclear."""
    name, _, rest = text.partition(":")
    destination, _, mode = rest.partition(":")
    if not name or not destination.startswith("/") or mode not in ("", "ro", "rw"):
        raise Unclear(f"--volume {text}: write NAME:/path, or NAME:/path:ro for one that is only read")
    found: dict[str, Any] = {"type": "local", "src": name, "mount_destination": destination}
    return found | ({"read_only": True} if mode == "ro" else {})

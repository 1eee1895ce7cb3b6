"""The container engine: DOCKER_HOST, Docker's sockets, Podman's compatible socket, group membership."""

from __future__ import annotations

import grp
import json
import os
import pwd
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dmsweb.launch.doctor.check import Check

COST = "no containers; commands run in the process sandbox only"
DEFAULT_SOCKET = "/var/run/docker.sock"
TIMEOUT_S = 3.0


def engine() -> Check:
    """Say which engine answers, or why none does."""
    named = os.environ.get("DOCKER_HOST")
    if named:
        return _named(named)
    try:
        return _answers(DEFAULT_SOCKET)
    except FileNotFoundError:
        return _others()
    except PermissionError:
        return Check("docker", False, f"{DEFAULT_SOCKET} may not be opened", COST, _group_hint())
    except OSError as error:
        return Check(
            "docker", False, f"{DEFAULT_SOCKET}: {_why(error)}", COST, "start it: systemctl start docker"
        )


def _named(address: str) -> Check:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        try:
            return _answers(parts.path)
        except OSError as error:
            return Check(
                "docker", False, f"DOCKER_HOST={address}: {_why(error)}", COST, "correct or unset DOCKER_HOST"
            )
    if parts.scheme in ("tcp", "http", "https") and parts.hostname:
        try:
            socket.create_connection((parts.hostname, parts.port or 2375), TIMEOUT_S).close()
        except OSError as error:
            return Check(
                "docker", False, f"DOCKER_HOST={address}: {_why(error)}", COST, "correct or unset DOCKER_HOST"
            )
        return Check("docker", True, f"DOCKER_HOST={address} accepts connections")
    return Check(
        "docker",
        False,
        f"DOCKER_HOST={address} is not understood",
        COST,
        "give unix:///path or tcp://host:port",
    )


def _others() -> Check:
    """No Docker socket at the usual place: name one that answers elsewhere."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    for path in (f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock", "/run/podman/podman.sock"):
        try:
            found = _answers(path)
        except OSError:
            continue
        return Check(
            "docker",
            False,
            f"{found.detail}, but DOCKER_HOST does not name it",
            COST,
            f"export DOCKER_HOST=unix://{path}",
        )
    hint = "install Docker Engine (Debian: apt-get install docker.io), or Podman and: systemctl start podman.socket"
    return Check("docker", False, f"no {DEFAULT_SOCKET}", COST, hint)


def _answers(path: str) -> Check:
    facts = ask(path, "/version")
    kind = "Podman" if "podman" in json.dumps(facts).lower() else "Docker Engine"
    return Check("docker", True, f"{kind} {facts.get('Version', '?')} at {path}")


def ask(path: str, question: str) -> dict[str, Any]:
    """GET a JSON document from an engine's socket; OSError when it does not answer."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(TIMEOUT_S)
        link.connect(path)
        link.sendall(f"GET {question} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        content = b""
        while chunk := link.recv(65536):
            content += chunk
    try:
        document = json.loads(content.partition(b"\r\n\r\n")[2])
    except ValueError:
        raise OSError("what answers there is no container engine") from None
    return document if isinstance(document, dict) else {}


def _group_hint() -> str:
    person = pwd.getpwuid(os.getuid()).pw_name
    try:
        group = grp.getgrgid(Path(DEFAULT_SOCKET).stat().st_gid)
    except (KeyError, OSError):
        return "ask the owner of the socket for access"
    if person in group.gr_mem and group.gr_gid not in os.getgroups():
        return (
            f"you joined the group {group.gr_name} after logging in: log in again, or newgrp {group.gr_name}"
        )
    return f"sudo usermod -aG {group.gr_name} {person}, then log in again"


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()

"""From a request to what the shim runs: checks, the private /etc, folders, limits, command line."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from capabilities.numbers import Numbers
from deployments.confinement import violations
from workers.executors.base import Cause, ExecutionRequest, ExecutorError
from workers.executors.process.cgroups import Group
from workers.executors.process.entry import STAGE
from workers.executors.process.sandbox import (
    INNER_ID,
    PATH,
    SHARED_SETTINGS,
    Inside,
    bind,
    command_line,
    system,
)
from workers.executors.process.state import Folder

# One unprivileged id an owner, far from every id that a distribution gives away.
FIRST_ID: Final = 0x7000_0000
ID_COUNT: Final = 1 << 24
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOSTNAME: Final = re.compile(r"[^A-Za-z0-9-]")
_RESERVED: Final = ("/", "/proc", "/dev", "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/sys", "/run")


def check(request: ExecutionRequest) -> None:
    """Refuse what a sandboxed process cannot have; ExecutorError says all of it at once."""
    forbidden = violations(
        request.params, (), request.allowances, path=f"allocations.{request.allocation_id}"
    )
    if forbidden:
        detail = "; ".join(f"{reason.path}: {reason.message}" for reason in forbidden)
        raise ExecutorError(Cause.CONFINEMENT, f"{detail}. {forbidden[0].hint}")
    faults = []
    if request.ports:
        faults.append("a sandboxed process has no network, so it cannot have ports: use the docker executor")
    if request.gpus:
        faults.append("a sandboxed process cannot have GPUs: use the docker executor")
    if request.params.get("image"):
        faults.append(
            "a sandboxed process uses the node's own programs, not an image: use the docker executor"
        )
    if request.params.get("user") not in (None, "", "nobody", str(INNER_ID), INNER_ID):
        faults.append("a sandboxed process runs as nobody: leave `user` out")
    if not command_of(request.params):
        faults.append("no command: give `cmd` as a list, such as [sh, -c, 'echo hello']")
    if request.ram_bytes <= 0 or request.cpu_centicores <= 0:
        faults.append("no limit for memory or CPU was given, and it does not run without")
    for mount in request.mounts:
        if os.path.normpath(mount.destination) in _RESERVED or not mount.destination.startswith("/"):
            faults.append(f"nothing can be mounted at {mount.destination!r}: use a folder such as /data")
    environment_of(request.params)
    if faults:
        raise ExecutorError(Cause.START_FAILED, "; ".join(faults))


def command_of(params: Mapping[str, Any]) -> list[str]:
    """Return the command: `entrypoint` then `cmd`; a text is split as a shell would."""
    words: list[str] = []
    for name in ("entrypoint", "cmd"):
        value = params.get(name) or []
        words += shlex.split(value) if isinstance(value, str) else [str(word) for word in value]
    return words


def environment_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of the workload: the ensemble's, and PATH, HOME, USER where it sets none."""
    given = params.get("environment") or {}
    if isinstance(given, Mapping):
        pairs = {str(name): str(value) for name, value in given.items()}
    else:
        pairs = {name: value for name, _, value in (str(item).partition("=") for item in given)}
    for name in pairs:
        if not _VARIABLE.fullmatch(name):
            detail = f"environment: {name!r} is not a variable's name; write NAME=value"
            raise ExecutorError(Cause.START_FAILED, detail)
    return {"PATH": PATH, "HOME": "/work", "USER": "nobody", **pairs}


def outer_ids(owner_did: str) -> tuple[int, int] | None:
    """Return the user and group id that a root worker gives to an owner's processes; None for other workers."""
    if os.geteuid() != 0:
        return None
    number = FIRST_ID + int.from_bytes(hashlib.sha256(owner_did.encode()).digest()[:3])
    rows = [
        [int(word) for word in line.split()] for line in Path("/proc/self/uid_map").read_text().splitlines()
    ]
    if any(inner <= number < inner + count for inner, _, count in rows):
        return number, number
    return INNER_ID, INNER_ID


def prepare(
    folder: Folder, request: ExecutionRequest, group: Group, backend: str, numbers: Numbers
) -> dict[str, object]:
    """Make the folders of an execution and return the document that its shim needs."""
    ids = outer_ids(request.owner_did)
    host = _HOSTNAME.sub("-", request.dns_name or "sandbox")[:63]
    folder.path.chmod(0o700)
    for name in ("etc", "scripts", "work", "root"):
        (folder.path / name).mkdir(exist_ok=True)
    _settings(folder.path / "etc", host, request.hosts)
    for index, (name, content) in enumerate(request.scripts):
        script = folder.path / "scripts" / f"{index:04}-{name.replace('/', '_')}"
        script.write_bytes(content)
        script.chmod(0o755)
    if ids:
        os.chown(folder.path / "work", *ids)
    wanted = [
        (str(folder.path / "etc"), "/etc", True),
        (str(folder.path / "scripts"), "/run/dms", True),
        (str(folder.path / "work"), "/work", False),
        *((str(mount.source), mount.destination, mount.read_only) for mount in request.mounts),
    ]
    stage = (
        [("", "root"), *((source, str(index)) for index, (source, _, _) in enumerate(wanted))] if ids else []
    )
    binds, links = system()
    for index, (source, destination, read_only) in enumerate(wanted):
        shown = f"{STAGE}/{index}" if ids else source
        binds.append(bind(source, destination, shown=shown, read_only=read_only))
        if index == 0:
            binds += [bind(name, name) for name in SHARED_SETTINGS if Path(name).exists()]
    inside = Inside(
        hostname=host,
        binds=binds,
        links=links,
        command=command_of(request.params),
        environment=environment_of(request.params),
        directory=os.path.normpath(f"/work/{request.params.get('working_directory') or ''}")
        if not str(request.params.get("working_directory") or "").startswith("/")
        else str(request.params["working_directory"]),
        root=f"{STAGE}/root" if ids else str(folder.path / "root"),
    )
    return {
        "ids_of": {
            "execution": request.execution_id,
            "allocation": request.allocation_id,
            "deployment": request.deployment_id,
            "node": request.node_did,
        },
        "argv": command_line(backend, inside),
        "environment": {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin", "LC_ALL": "C"},
        "backend": backend,
        "ids": ids,
        "stage": stage,
        "join": group.join,
        "groups": group.files,
        "group_folders": [str(path) for path in group.folders],
        "cpus": [] if group.cpu_limited else _cpus(request.cpu_centicores),
        "limits": {
            "ram_bytes": request.ram_bytes,
            "disk_bytes": request.disk_bytes,
            "pids": numbers.sandbox_pids_max,
            "refused_forks": numbers.sandbox_refused_forks_max,
            "log_bytes": numbers.log_max_bytes,
            "check_ms": int(numbers.sandbox_check_s * 1000),
        },
    }


def _cpus(cpu_centicores: int) -> list[int]:
    """Return as many of our CPUs as were granted: where no group can limit CPU, the sandbox is kept on those."""
    own = sorted(os.sched_getaffinity(0))
    return own[: max(1, math.ceil(cpu_centicores / 100))]


def _settings(etc: Path, host: str, hosts: Mapping[str, str]) -> None:
    """Write the sandbox's /etc: accounts and names of our own, and the places where the host's are shown."""
    lines = ["127.0.0.1 localhost", "::1 localhost", f"127.0.1.1 {host}"]
    lines += [f"{address} {name} {name}.internal" for name, address in hosts.items()]
    files = {
        "passwd": f"root:x:0:0:root:/:/bin/sh\nnobody:x:{INNER_ID}:{INNER_ID}:nobody:/work:/bin/sh\n",
        "group": f"root:x:0:\nnogroup:x:{INNER_ID}:\n",
        "hosts": "\n".join(lines) + "\n",
        "hostname": f"{host}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "resolv.conf": "",
    }
    for name, text in files.items():
        (etc / name).write_text(text)
    for shared in SHARED_SETTINGS:
        place = etc / Path(shared).relative_to("/etc")
        if Path(shared).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif Path(shared).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()

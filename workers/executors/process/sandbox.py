"""The command line of a sandbox, for each of the two programs that can make one: bubblewrap, or util-linux.

Inside: /usr and its siblings read-only, an /etc of our own, private /proc, /dev, /tmp, and the work folder at /work;
the user 65534, no network but lo, no capability, no further user namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from workers.executors.process.scripts import INIT, MOUNTS

INNER_ID: Final = 65_534
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM_FOLDERS: Final = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/libx32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
)
SHARED_SETTINGS: Final = (
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ca-certificates",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/services",
    "/etc/protocols",
    "/etc/mime.types",
)
BACKENDS: Final = ("bwrap", "unshare")
TOOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "bwrap": ("bwrap",),
    "unshare": ("unshare", "mount", "umount", "pivot_root", "setpriv"),
}
"""What each back-end needs on PATH."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A host path shown inside the sandbox. `source` is what the sandbox program can reach, `flags` for mount(8)."""

    source: str
    destination: str
    read_only: bool = True
    flags: str = "ro,nosuid,nodev"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What the sandbox contains and runs."""

    hostname: str
    binds: Sequence[Bind]
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: str = "/work"
    root: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def first_process(self) -> list[str]:
        """Return the command of process 1. The environment is set inside: it must not reach the sandbox program."""
        pairs = [f"{name}={value}" for name, value in self.environment.items()]
        return ["/usr/bin/env", "-i", *pairs, "/bin/sh", "-c", INIT, "dms", self.directory, *self.command]


def lacking(backend: str, path: str | None = None) -> list[str]:
    """Return the programs that the back-end needs and PATH lacks."""
    return [tool for tool in TOOLS[backend] if not _find(tool, path)]


def _find(tool: str, path: str | None = None) -> str | None:
    """Return where a program is. pivot_root lives in sbin, which users seldom have on PATH."""
    wanted = os.environ.get("PATH", os.defpath) if path is None else path
    return shutil.which(tool, path=f"{wanted}:/usr/sbin:/sbin" if tool == "pivot_root" else wanted)


def system() -> tuple[list[Bind], dict[str, str]]:
    """Return the read-only folders of the host's system, and those that are links (name to target)."""
    binds, links = [], {}
    for name in SYSTEM_FOLDERS:
        path = Path(name)
        if path.is_symlink():
            links[name] = str(path.readlink())
        elif path.is_dir():
            binds.append(bind(name, name))
    return binds, links


def bind(path: str, destination: str, *, shown: str = "", read_only: bool = True) -> Bind:
    """Return the bind of host path `path`, reached as `shown`, with the flags that its mount must keep."""
    flags = ["ro" if read_only else "rw", "nosuid", "nodev"]
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        flags.append("noexec")
    return Bind(shown or path, destination, read_only, ",".join(flags))


def command_line(backend: str, inside: Inside) -> list[str]:
    """Return the whole command line that makes the sandbox and runs what is inside."""
    program = _find(backend)
    if program is None:
        raise FileNotFoundError(f"{backend} is not on PATH")
    return (_bubblewrap if backend == "bwrap" else _util_linux)(program, inside)


def _bubblewrap(program: str, inside: Inside) -> list[str]:
    line = [program, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    line += ["--unshare-cgroup-try", "--die-with-parent", "--as-pid-1", "--new-session"]
    if "--disable-userns" in _bubblewrap_options(program):
        line.append("--disable-userns")
    line += ["--uid", str(INNER_ID), "--gid", str(INNER_ID), "--hostname", inside.hostname]
    for name, target in inside.links.items():
        line += ["--symlink", target, name]
    line += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/run", "--dir", "/var"]
    line += ["--symlink", "/tmp", "/var/tmp"]
    for item in inside.binds:
        line += ["--ro-bind" if item.read_only else "--bind", item.source, item.destination]
    return [*line, "--remount-ro", "/", "--chdir", "/", "--", *inside.first_process]


def _util_linux(program: str, inside: Inside) -> list[str]:
    line = [program, "--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup"]
    line += ["--fork", "--kill-child", "--", "/bin/sh", "-c", MOUNTS, "dms", inside.root, inside.hostname]
    for name, target in inside.links.items():
        line += ["link", target, name]
    line += ["tmpfs", "/tmp", "folder", "/run", "folder", "/var", "link", "/tmp", "/var/tmp"]
    for item in inside.binds:
        line += ["bind", item.source, item.destination, item.flags]
    return [*line, "--", *inside.first_process]


@cache
def _bubblewrap_options(program: str) -> str:
    answer = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10, check=False)
    return answer.stdout + answer.stderr

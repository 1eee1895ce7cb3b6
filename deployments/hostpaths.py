"""Judges a path of the host as text: does it leave the owner's folder, does it lead to the engine. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final, Literal

_SOCKET_NAMES: Final = ("docker.sock", "podman.sock", "containerd.sock", "crio.sock", "docker_engine")
_SOCKETS: Final = (
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/user/0/docker.sock",
    "/run/docker/containerd/containerd.sock",
)
_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DRIVE: Final = re.compile(r"^[a-z]:[\\/]", re.IGNORECASE)


def host_path(text: str, folder: str = "") -> Literal["", "inside", "outside"]:
    """Say whether `text` names a path of the host: no, inside `folder`, or outside of it.

    Relative names are resolved inside the owner's folder, so only `..`, `~`, variables, schemes and absolute
    paths leave it.
    """
    text = text.strip()
    if not text:
        return ""
    bare = _SCHEME.sub("", text)
    absolute = bare.startswith(("/", "\\", "~", "$")) or bare != text or bool(_DRIVE.match(bare))
    if not absolute:
        return "outside" if ".." in re.split(r"[\\/]", bare) else ""
    if folder and bare == text and ".." not in bare.split("/"):
        base = posixpath.normpath(folder)
        path = next(_readings(bare))
        if path == base or path.startswith(base + "/"):
            return "inside"
    return "outside"


def reaches_engine(text: str) -> bool:
    """Say whether mounting `text` would show the container engine's socket: it, a parent, or a way around."""
    text = _SCHEME.sub("", text.strip())
    if text.casefold().rstrip("/\\").endswith(_SOCKET_NAMES):
        return True
    if not text.startswith("/"):
        # The folder of the user's session holds the socket of a rootless engine.
        return "XDG_RUNTIME_DIR" in text
    return any(_leads_to_socket(path) for path in _readings(text))


def _leads_to_socket(path: str) -> bool:
    # /proc/<pid>/root and cwd are other names of the whole file system.
    if path == "/proc" or path.startswith("/proc/"):
        return True
    if re.fullmatch(r"/run/user(/\d+)?", path) or path == "/var":
        return True
    return path == "/" or any(socket == path or socket.startswith(path + "/") for socket in _SOCKETS)


def _readings(text: str) -> Iterator[str]:
    """Yield the plain paths that `text` can mean, with /var/run read as the link to /run that it is.

    `a/..` is the place itself only where `a` is no link, hence two readings.
    """
    for candidate in (re.sub(r"^/+(\./+)*var/+(\./+)*run(?=/|$)", "/run", text), text):
        path = "/" + posixpath.normpath(candidate).lstrip("/")
        yield re.sub(r"^/var/run(?=/|$)", "/run", path)

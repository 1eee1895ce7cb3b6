"""Folders for local volumes: below the home, one place an owner, out of reach of links and `..`.

    DMS_HOME/work/volumes/<hash of the owner's DID>/<name>

A workload is root in its container and may fill its volume with any links, but it never holds the folder above;
every step of the way is opened without following links all the same.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deployments.hostpaths import reaches_engine
from workers.executors.base import Cause, ExecutorError, Mount

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
HOST_PATHS = "host_paths"
SOCKET = "docker_socket"


def owner_folder(home: Path, owner_did: str) -> Path:
    """Return the folder of the owner's volumes; it need not exist."""
    return home / "work" / "volumes" / hashlib.sha256(owner_did.encode()).hexdigest()[:32]


def mounts(
    volumes: Sequence[Mapping[str, Any]], *, home: Path, owner_did: str, allowances: Collection[str]
) -> tuple[Mount, ...]:
    """Return the mounts of an allocation's volumes (V1 items), their folders made.

    ExecutorError `confinement` for a path outside the owner's folder, `start_failed` for what is not supported.
    """
    return tuple(_mount(volume, home, owner_did, allowances) for volume in volumes)


def named_folder(home: Path, owner_did: str, name: str) -> Path:
    """Return the folder of the volume `name`, made when it does not exist; never through a link."""
    if not NAME.fullmatch(name):
        detail = (
            f"volume name {name!r} is not letters, digits, '.', '_', '-' beginning with a letter or digit"
        )
        raise ExecutorError(Cause.CONFINEMENT, detail)
    folder = owner_folder(home, owner_did)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        parent = os.open(folder, flags)
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            opened = os.open(name, flags, dir_fd=parent)
            try:
                # Images run as any user. The folder above is private, so this opens it to the workload alone.
                os.fchmod(opened, 0o777)
            except PermissionError:
                pass  # the workload has taken the folder over with an owner of its own
            finally:
                os.close(opened)
        finally:
            os.close(parent)
    except OSError as error:
        detail = f"volume {name!r} is not a plain folder of its owner: {error.strerror}"
        raise ExecutorError(Cause.CONFINEMENT, detail) from error
    return folder / name


def used_bytes(folder: Path) -> int:
    """Return the disk space used below `folder`, in bytes; links are not followed, vanishing files count 0."""
    total, waiting = 0, [folder]
    seen: set[tuple[int, int]] = set()
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if (status.st_dev, status.st_ino) in seen:
                            continue
                        seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError:
            continue
    return total


def _mount(volume: Mapping[str, Any], home: Path, owner_did: str, allowances: Collection[str]) -> Mount:
    kind = str(volume.get("type") or "local")
    if kind != "local":
        detail = f"volume type {kind!r} is not supported on this node; use type: local with a name as src"
        raise ExecutorError(Cause.START_FAILED, detail)
    source = str(volume.get("src") or volume.get("name") or "")
    destination = str(volume.get("mount_destination") or f"/{volume.get('name', '')}")
    return Mount(
        source=_source(source, home, owner_did, allowances),
        destination=_destination(destination),
        read_only=bool(volume.get("read_only", False)),
    )


def _source(source: str, home: Path, owner_did: str, allowances: Collection[str]) -> Path:
    if "/" not in source:
        return named_folder(home, owner_did, source)
    if not source.startswith("/") or ".." in source.split("/"):
        raise ExecutorError(
            Cause.CONFINEMENT, f"volume source {source!r} is neither a name nor a plain absolute path"
        )
    folder = owner_folder(home, owner_did)
    path = Path(source)
    if path.parent == folder:
        return named_folder(home, owner_did, path.name)
    if HOST_PATHS not in allowances:
        detail = f"volume source {source!r} is a path of the host; use a name, or let the node's owner allow host_paths"
        raise ExecutorError(Cause.CONFINEMENT, detail)
    resolved = path.resolve()
    if reaches_engine(str(resolved)) and SOCKET not in allowances:
        raise ExecutorError(
            Cause.CONFINEMENT, f"volume source {source!r} leads to the container engine's socket"
        )
    if resolved == home or home.is_relative_to(resolved) or resolved.is_relative_to(home):
        detail = f"volume source {source!r} shows the node's own files ({home}); no allowance opens them"
        raise ExecutorError(Cause.CONFINEMENT, detail)
    if not resolved.exists():
        raise ExecutorError(Cause.START_FAILED, f"volume source {source!r} does not exist on this node")
    return resolved


def _destination(text: str) -> str:
    path = posixpath.normpath(text)
    if not text.startswith("/") or path in ("/", "//") or ".." in text.split("/"):
        raise ExecutorError(Cause.START_FAILED, f"mount_destination {text!r} is not an absolute path below /")
    if path.split("/")[1] in ("proc", "sys", "dev", ".dms"):
        raise ExecutorError(Cause.CONFINEMENT, f"mount_destination {text!r} is reserved; mount it elsewhere")
    return path

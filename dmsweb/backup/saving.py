"""Take a backup of a site, running or not."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from django.utils import timezone

from capabilities import hardware
from capabilities.refusal import Refusal
from dmsweb.backup import archive, databases
from dmsweb.home import Home
from node.models import Node

SMALL = ("secrets", "key", "cap")
LOGS = ("work", "deployments")


def save(home: Home, target: Path | None, *, logs: bool, progress: Callable[[str], None]) -> dict[str, Any]:
    """Write a backup to `target`, whole or not at all (None: to standard output); return its manifest.

    Refusal when there is nothing to save, or when the file cannot be written.
    """
    if not databases.migrations()["default"]:
        raise Refusal("not_found", f"there is no site in {home.root}", status=404, hint="name it with --home")
    try:
        with _folder(target.parent if target else home.path("run")) as folder:
            return _save(home, target, folder, logs=logs, progress=progress)
    except OSError as error:
        raise Refusal(
            "cannot_write",
            f"the backup cannot be written: {error.strerror or error} ({error.filename or target})",
            status=507,
            hint="free some space, or give another place",
        ) from error


def _save(
    home: Home, target: Path | None, folder: Path, *, logs: bool, progress: Callable[[str], None]
) -> dict[str, Any]:
    progress("copying the databases")
    files = {f"db/{name}": path for name, path in databases.snapshot(folder).items()}
    for name in SMALL:
        files |= {
            str(path.relative_to(home.root)): path
            for path in sorted(home.path(name).rglob("*"))
            if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
        }
    if (aliases := home.path(hardware.FILE)).is_file():
        files[hardware.FILE] = aliases
    if logs:
        progress("copying the logs")
        files |= _logs(home, folder)
    node = Node.objects.select_related("identity").order_by("created_at").first()
    manifest = {
        "format": archive.FORMAT,
        "version": _version(),
        "created_at": timezone.now().isoformat(),
        "did": node.identity.did if node else "",
        "database": databases.vendor(),
        "migrations": databases.migrations(),
        "files": archive.entries(files),
    }
    progress("writing the backup")
    if target is None:
        archive.write(sys.stdout.buffer, manifest, files)
        sys.stdout.buffer.flush()
        return manifest
    with _whole(target) as out:
        archive.write(out, manifest, files)
        out.flush()
        os.fsync(out.fileno())
        out.seek(0)
        archive.read(out)
    return manifest


def _logs(home: Home, folder: Path) -> dict[str, Path]:
    """Copy the kept logs aside: those of what runs are written meanwhile, and some go with their deployment."""
    found = {}
    for path in sorted(home.path(*LOGS).rglob("*")):
        name = str(path.relative_to(home.root))
        if path.is_symlink() or not archive.NAME.fullmatch(name):
            continue
        copy = folder / "logs" / name
        try:
            if path.is_file():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
                found[name] = copy
        except FileNotFoundError:
            continue
    return found


def _version() -> str:
    try:
        return version("dmsweb")
    except PackageNotFoundError:  # run from a checkout, which is not installed
        import tomllib

        from django.conf import settings

        document = tomllib.loads((Path(settings.BASE_DIR) / "pyproject.toml").read_text())
        return str(document["project"]["version"])


@contextmanager
def _folder(where: Path) -> Iterator[Path]:
    """Give a private folder beside the target: the copies are of its size, and /tmp may be memory."""
    with tempfile.TemporaryDirectory(prefix=".dms-backup-", dir=where) as name:
        yield Path(name)


@contextmanager
def _whole(target: Path) -> Iterator[IO[bytes]]:
    """Give a private file that gets the target's name when all went well, and is removed otherwise."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)

"""The file of a backup: a gzipped tar whose first member, `manifest.json`, lists every other with size and SHA-256.

Read as hostile: only what the manifest lists comes out, as regular files of their stated size below one folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tarfile
import time
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from capabilities import hardware
from capabilities.refusal import Refusal

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_MAX_BYTES = 64 << 20
CHUNK = 1 << 20
# The parts of a home that a backup may hold; nothing else comes out of a file.
NAME = re.compile(
    rf"(?:secrets|key|cap|db|work/deployments)(?:/[A-Za-z0-9_@+=:,.-]+)+|{re.escape(hardware.FILE)}"
)
RESTORE_HINT = "take another backup; this one cannot be trusted"


def entries(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of every file, by its name in the archive. OSError when one cannot be read."""
    found = {}
    for name, path in files.items():
        digest = hashlib.sha256()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
        found[name] = {"size": size, "sha256": digest.hexdigest()}
    return found


def write(target: IO[bytes], manifest: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Write the archive; `manifest` must hold the `entries` of the same files. OSError when the disk is full."""
    with (
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=3, mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        document = json.dumps(manifest, indent=1, sort_keys=True).encode()
        _add(tar, MANIFEST, len(document), BytesIO(document))
        for name, path in files.items():
            with path.open("rb") as file:
                _add(tar, name, manifest["files"][name]["size"], file)


def _add(tar: tarfile.TarFile, name: str, size: int, file: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(time.time())
    tar.addfile(member, file)


def read(source: IO[bytes], into: Path | None = None) -> dict[str, Any]:
    """Check a whole archive and return its manifest; with `into` also write its files below that folder.

    Refusal `backup_damaged` or `not_a_backup` says what is wrong with it, `insufficient_disk` what is missing here.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as tar:
            members = iter(tar)
            manifest = _manifest(tar, members)
            if into is not None:
                _room(into, manifest)
            seen = {_take(tar, member, manifest["files"], into) for member in members}
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the archive
        raise Refusal("backup_damaged", f"the backup cannot be read: {error}", hint=RESTORE_HINT) from None
    missing = sorted(set(manifest["files"]) - seen)
    if missing:
        raise _damaged(f"{missing[0]} is missing" + (f", and {len(missing) - 1} more" if missing[1:] else ""))
    return manifest


def _manifest(tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo]) -> dict[str, Any]:
    first = next(members, None)
    file = tar.extractfile(first) if first is not None and first.isreg() else None
    if first is None or file is None or first.name != MANIFEST or first.size > MANIFEST_MAX_BYTES:
        raise Refusal(
            "not_a_backup",
            f"this file does not begin with {MANIFEST}",
            hint="give a file that ./dms backup has written",
        )
    try:
        manifest: dict[str, Any] = json.loads(file.read())
        files = {str(name): (int(one["size"]), str(one["sha256"])) for name, one in manifest["files"].items()}
        known = int(manifest["format"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(f"its {MANIFEST} cannot be read ({error!r})") from None
    if known != FORMAT:
        raise Refusal(
            "backup_newer",
            f"the backup has format {known}; this release reads format {FORMAT}",
            hint="restore it with the release that wrote it",
        )
    bad = [name for name, (size, _) in files.items() if not NAME.fullmatch(name) or size < 0 or ".." in name]
    if bad:
        raise _damaged(f"it holds {bad[0]!r}, which is no part of a site")
    return manifest


def _room(into: Path, manifest: Mapping[str, Any]) -> None:
    needed = sum(int(one["size"]) for one in manifest["files"].values())
    free = shutil.disk_usage(into).free
    if needed > free:
        raise Refusal(
            "insufficient_disk",
            f"the backup needs {needed >> 20} MiB, {free >> 20} MiB are free at {into}",
            hint="free some, or choose another DMS_HOME",
        )


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, files: Mapping[str, Any], into: Path | None) -> str:
    """Check one member against the manifest, and write it where `into` is given; return its name."""
    entry = files.get(member.name)
    file = tar.extractfile(member) if entry is not None and member.isreg() else None
    if entry is None or file is None or member.size != entry["size"]:
        raise _damaged(f"{member.name!r} is not as its {MANIFEST} says")
    digest = hashlib.sha256()
    path = into / member.name if into is not None else None
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (path or Path("/dev/null")).open("wb") as out:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != entry["sha256"]:
        raise _damaged(f"the checksum of {member.name} is wrong")
    if path is not None:
        path.chmod(0o600)
    return member.name


def _damaged(what: str) -> Refusal:
    return Refusal("backup_damaged", f"the backup is damaged: {what}", hint=RESTORE_HINT)

"""Put a backup into a home. Everything is prepared in a folder beside it, and moved into place when it is whole.

Messages accepted after the backup are not remembered in it: until none of them can be valid any more, every message
that ends before that moment is refused (`node.nonces.floor_set`).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from capabilities import hardware
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from dmsweb.backup import archive
from dmsweb.home import Home
from dmsweb.launch import control

NS = 1_000_000_000
PARTS = (("secrets",), ("key",), ("cap",), ("db",), ("work", "deployments"), (hardware.FILE,))


def restore(
    home: Home, source: Path | None, *, force: bool, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Restore `source` (None: standard input) into an empty home; with `force` what is there is set aside first.

    Returns the manifest, with `set_aside` (a folder, or empty) and `messages_from` (when messages of peers are taken
    again whatever their end). Refusal says what stands in the way; then nothing has changed.

    Django must not be set up yet: its settings are those of the folder in which the site is prepared.
    """
    if control.status(home)["running"]:
        raise Refusal("site_runs", f"the site in {home.root} runs", status=409, hint="./dms down first")
    used = _used(home)
    if used and not force:
        raise Refusal(
            "home_in_use",
            f"{home.root} holds a site already: {used[0]}",
            status=409,
            hint="choose an empty DMS_HOME, or --force: what is there is kept in a folder beside it",
        )
    home.root.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".restore-", dir=home.root))
    try:
        progress("reading the backup")
        manifest = _unpack(source, staged)
        until_ns = _prepare(staged, manifest, force=force, progress=progress)
        aside = _set_aside(home) if used else None
        for part in PARTS:
            _move(staged.joinpath(*part), home.path(*part))
    except OSError as error:
        raise Refusal(
            "cannot_write",
            f"the backup cannot be restored: {error.strerror or error} ({error.filename or home.root})",
            status=507,
            hint="free some space, or choose another DMS_HOME",
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    home.create()
    return {
        **manifest,
        "set_aside": str(aside or ""),
        "messages_from": datetime.fromtimestamp(until_ns / NS, UTC).isoformat(timespec="seconds"),
    }


def _used(home: Home) -> list[Path]:
    """Return what makes this the home of a site."""
    folders = [
        home.path("db").glob("*.sqlite3"),
        home.path("key").glob("*.json"),
        home.path("secrets").glob("*"),
    ]
    return sorted(path for found in folders for path in found)


def _unpack(source: Path | None, staged: Path) -> dict[str, Any]:
    if source is None:
        return archive.read(sys.stdin.buffer, staged)
    try:
        file: IO[bytes] = source.open("rb")
    except OSError as error:
        raise Refusal(
            "not_found", f"{source}: {error.strerror}", status=404, hint="give a file that ./dms backup wrote"
        ) from None
    with file:
        return archive.read(file, staged)


def _prepare(staged: Path, manifest: dict[str, Any], *, force: bool, progress: Callable[[str], None]) -> int:
    """Bring what is in the folder up to this release, as a home of its own; return until when messages are refused."""
    os.environ["DMS_HOME"] = str(staged)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dmsweb.settings")
    import django

    django.setup()
    from django.db import connections

    from dmsweb.backup import databases
    from dmsweb.migrating import migrate_if_needed
    from node import nonces

    databases.check_known(manifest)
    if databases.in_use() and not force:
        raise Refusal(
            "home_in_use",
            "the database that DATABASE_URL names is not empty",
            status=409,
            hint="name an empty one, or --force: its tables are replaced",
        )
    progress("loading the databases")
    databases.load(staged / "db")
    migrate_if_needed(progress)
    until_ns = time.time_ns() + int(NUMBERS.envelope_max_ahead_s * NS)
    nonces.floor_set(until_ns)
    connections.close_all()
    return until_ns


def _set_aside(home: Home) -> Path:
    """Move the present site's parts into a folder of their own and return it."""
    folder = home.path(f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    folder.mkdir(mode=0o700)
    for part in PARTS:
        if home.path(*part).exists():
            _move(home.path(*part), folder.joinpath(*part))
    return folder


def _move(source: Path, target: Path) -> None:
    """Rename a folder into place; an empty one that is there already gives way."""
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    source.replace(target)

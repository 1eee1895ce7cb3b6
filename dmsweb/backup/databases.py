"""One consistent moment of each database, without stopping whoever writes; and back again."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from capabilities.refusal import Refusal

DUMP = "postgresql.dump"
TOOLS_HINT = "install the client of your server's version (Debian: apt-get install postgresql-client)"


def vendor() -> str:
    """Return sqlite or postgresql."""
    return str(connections["default"].vendor)


def migrations() -> dict[str, list[str]]:
    """Return the migrations that each database says it has, as app.name."""
    return {
        alias: sorted(
            f"{app}.{name}" for app, name in MigrationRecorder(connections[alias]).applied_migrations()
        )
        for alias in settings.DATABASES
    }


def snapshot(folder: Path) -> dict[str, Path]:
    """Write a copy of every database into `folder`; return the files by their names in db/.

    SQLite: a copy through the site's own connection, which reads one moment and keeps no writer waiting (WAL).
    PostgreSQL: `pg_dump`, which does the same.
    """
    if vendor() == "postgresql":
        _tool("pg_dump", "--format=custom", f"--file={folder / DUMP}")
        return {DUMP: folder / DUMP}
    found = {}
    for alias in settings.DATABASES:
        connection = connections[alias]
        connection.ensure_connection()
        name = Path(str(connection.settings_dict["NAME"])).name
        copy = sqlite3.connect(folder / name)
        try:
            connection.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            (fault,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            raise OSError(errno.ENOSPC, f"the copy of the database: {error}", str(folder)) from None
        finally:
            copy.close()
        if fault != "ok":
            raise Refusal(
                "database_damaged",
                f"{name}: {fault}",
                status=500,
                hint="restore an earlier backup; what this database says cannot be relied on",
            )
        found[name] = folder / name
    return found


def check_known(manifest: Mapping[str, Any]) -> None:
    """Refuse a backup that this code cannot serve: of another kind of database, or of a later release."""
    if manifest.get("database") != vendor():
        raise Refusal(
            "wrong_database",
            f"the backup is of {manifest.get('database')}, this site is set up for {vendor()}",
            hint="set DATABASE_URL to a PostgreSQL database"
            if manifest.get("database") == "postgresql"
            else "unset DATABASE_URL",
        )
    here = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    unknown = sorted(
        {name for names in manifest.get("migrations", {}).values() for name in map(str, names)} - here
    )
    if unknown:
        raise Refusal(
            "backup_newer",
            f"the backup is of a later release: it has the migration {unknown[0]}, which this one does not know",
            hint=f"restore it with release {manifest.get('version', '?')} or later",
        )


def in_use() -> bool:
    """Say whether the PostgreSQL database that is configured holds a site already."""
    return vendor() == "postgresql" and bool(connections["default"].introspection.table_names())


def load(folder: Path) -> None:
    """Fill the PostgreSQL database from the dump in `folder`, all or nothing; SQLite's files are the databases."""
    if vendor() == "postgresql":
        options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction")
        _tool(
            "pg_restore", *options, f"--dbname={connections['default'].settings_dict['NAME']}", folder / DUMP
        )


def _tool(name: str, *arguments: str | Path) -> None:
    path = shutil.which(name)
    if path is None:
        raise Refusal("tool_missing", f"{name} is not installed", hint=TOOLS_HINT)
    given = connections["default"].settings_dict
    # By environment: on the command line every user of the machine could read the password.
    variables = {
        "PGHOST": given["HOST"],
        "PGPORT": given["PORT"],
        "PGUSER": given["USER"],
        "PGPASSWORD": given["PASSWORD"],
        "PGDATABASE": given["NAME"],
    }
    done = subprocess.run(
        [path, *map(str, arguments)],
        env={**os.environ, **{key: str(value) for key, value in variables.items() if value}},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Refusal("tool_failed", f"{name}: {last}", status=500, hint=TOOLS_HINT)

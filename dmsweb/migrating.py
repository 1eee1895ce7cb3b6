"""Migrate only when something has changed: Django's own look costs most of a second start.

What was migrated is recorded in the home: a hash of all migration files and, per database, how many migrations it
says were applied. A database that was replaced, restored or emptied no longer matches, and is migrated again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.utils import Error

# The key of PostgreSQL's advisory lock: any constant that nothing else in the database uses.
ADVISORY_LOCK = 0x646D73

RECORD = ("db", "migrated.json")


def fingerprint() -> str:
    """Return a hash over the names and contents of every installed app's migrations."""
    digest = hashlib.sha256()
    for config in apps.get_app_configs():
        for path in sorted((Path(config.path) / "migrations").glob("*.py")):
            digest.update(f"{config.label}/{path.name}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def applied() -> dict[str, int]:
    """Return how many migrations each database says were applied; -1 where it cannot say."""
    counts = {}
    for alias in settings.DATABASES:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM django_migrations")
                counts[alias] = int(cursor.fetchone()[0])
        except Error:
            counts[alias] = -1
    return counts


def is_current() -> bool:
    """Say whether the databases have every migration of this code, as far as the record tells."""
    try:
        record: Any = json.loads(settings.DMS_HOME.path(*RECORD).read_text())
    except (OSError, ValueError):
        return False
    return bool(record == {"fingerprint": fingerprint(), "applied": applied()})


def migrate_if_needed(progress: Callable[[str], None]) -> bool:
    """Bring every database up to this code; return whether anything had to be done."""
    if is_current():
        return False
    progress("preparing the database")
    with _alone():
        for alias in settings.DATABASES:
            call_command("migrate", database=alias, verbosity=0, interactive=False)
    path: Path = settings.DMS_HOME.path(*RECORD)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"fingerprint": fingerprint(), "applied": applied()}))
    temporary.replace(path)
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """Keep machines that share one PostgreSQL from migrating at once; within one home a file lock does."""
    connection = connections["default"]
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])

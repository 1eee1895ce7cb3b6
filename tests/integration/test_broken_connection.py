"""A connection whose log was taken away is given up, and the next task connects anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connections

from dmsweb.database.sqlite.base import DatabaseWrapper

# The database of the tests themselves stays as it is; the mark only lets a connection be made.
pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
ROWS = 200


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[DatabaseWrapper]:
    """A connection of the site's kind to a file of its own: no thread of another test has that open."""
    given = {**connections["default"].settings_dict, "NAME": str(tmp_path / "own.sqlite3")}
    made = DatabaseWrapper(given, alias="own")
    yield made
    made.close()


def test_a_broken_connection_heals_at_the_next_task(connection: DatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (name TEXT)")
        cursor.executemany("INSERT INTO kept VALUES (%s)", [("x" * 100,)] * ROWS)
        cursor.execute("PRAGMA cache_size=0")
    os.truncate(f"{connection.settings_dict['NAME']}-wal", 0)
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM kept")
        cursor.fetchall()
    broken = connection.connection
    connection.close_if_unusable_or_obsolete()
    assert connection.connection is None or connection.connection is not broken
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS after (name TEXT)")
        cursor.execute("INSERT INTO after VALUES ('after')")
        cursor.execute("SELECT name FROM after")
        assert cursor.fetchall() == [("after",)]

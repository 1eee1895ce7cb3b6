"""A process of its own that writes to the site's SQLite file: `python -m tests.integration.writer COMMAND ...`.

count N       N transactions, each reads a counter and writes it back plus one
hold          takes the write lock, prints `held`, waits for a line on stdin, commits
"""

from __future__ import annotations

import sys

import django
from django.db import connection, transaction


def count(times: int) -> None:
    """Raise the counter `times` times, one transaction each."""
    for _ in range(times):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT value FROM counter")
            value = cursor.fetchone()[0]
            cursor.execute("UPDATE counter SET value = %s", [value + 1])


def hold() -> None:
    """Hold the write lock until a line comes in."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE counter SET value = value + 1")
        print("held", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "count":
        count(int(sys.argv[2]))
    else:
        hold()

"""Where a process may be killed, the time it sees, and a database in memory that can go back in time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections
from django.utils import timezone

from dmsweb.database.sqlite.base import DatabaseWrapper

REFUSED = "the database cannot do that now"
Happened = Callable[[str], None]


class Clock:
    """The time that the product sees: it goes on a millisecond with each look, and as the test says."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the present moment."""
        self.at += timedelta(milliseconds=1)
        return self.at


class Moments(datetime):
    """Stands in for `datetime` in `django.utils.timezone`."""

    clock = Clock()

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        """Ask the clock."""
        return cls.clock.now()


class Memory:
    """The site's database in memory. `happened` is called whenever something in it has become lasting."""

    def __init__(self, wrapper: DatabaseWrapper, happened: Happened) -> None:
        self._wrapper = wrapper
        self._happened = happened
        self._changes = self.raw.total_changes
        self.writes = 0
        self.refused_at = 0
        self._commit = wrapper._commit
        wrapper._commit = self._commit_and_tell  # type: ignore[method-assign]
        wrapper.execute_wrappers.append(self._execute)

    @property
    def raw(self) -> sqlite3.Connection:
        """The connection below Django's."""
        connection: sqlite3.Connection = self._wrapper.connection
        return connection

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read rows."""
        return self.raw.execute(query, values).fetchall()

    def save(self) -> bytes:
        """Return everything that is stored."""
        return self.raw.serialize()

    def load(self, saved: bytes) -> None:
        """Put it back."""
        assert not self.raw.in_transaction and not self._wrapper.run_on_commit
        self.raw.deserialize(saved)

    def _written(self) -> None:
        """Count what may write, and refuse one of these as a database does that is busy, full or away."""
        self.writes += 1
        if self.writes == self.refused_at:
            raise OperationalError(REFUSED)

    def _commit_and_tell(self) -> None:
        self._written()
        self._commit()
        self._tell("a commit")

    def _execute(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith("SELECT"):
            self._written()
        result = execute(sql, params, many, context)
        if not self._wrapper.in_atomic_block:
            self._tell("a write")
        return result

    def _tell(self, what: str) -> None:
        changes, self._changes = self._changes, self.raw.total_changes
        if changes != self._changes:
            self._happened(what)


@contextmanager
def in_memory(happened: Happened) -> Iterator[Memory]:
    """Let the default database be one in memory with all tables."""
    before = connections["default"]
    settings = before.settings_dict | {"ENGINE": "dmsweb.database.sqlite", "NAME": ":memory:"}
    settings |= {"OPTIONS": {"transaction_mode": "IMMEDIATE"}, "CONN_MAX_AGE": None}
    wrapper = DatabaseWrapper(settings, alias="default")
    wrapper.inc_thread_sharing()
    wrapper.connect()
    connections["default"] = wrapper
    try:
        if before.vendor == "sqlite":
            before.ensure_connection()
            before.connection.backup(wrapper.connection)
            # Its header says WAL, which a database in memory cannot do.
            stored = wrapper.connection.serialize()
            wrapper.connection.deserialize(stored[:18] + b"\x01\x01" + stored[20:])
        else:
            call_command("migrate", verbosity=0)
        yield Memory(wrapper, happened)
    finally:
        connections["default"] = before
        wrapper._close()


@contextmanager
def given_time(patch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Let the product see the time of a new clock."""
    Moments.clock = Clock()
    with patch.context() as patched:
        patched.setattr(timezone, "datetime", Moments)
        yield Moments.clock

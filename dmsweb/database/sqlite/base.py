"""SQLite for several busy processes: Django's backend behind one write gate (`gate.py`).

The gate is taken by what may write: BEGIN, and any statement outside a transaction that is not plainly a
read. It is given back when the connection is out of its transaction again. Reads outside a transaction never
wait for it. In-memory databases have no gate.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.db.backends.sqlite3 import base

from dmsweb.database.sqlite.gate import Gate, GateTimeout, gate_of

READS = ("SELECT", "PRAGMA", "EXPLAIN")


class GatedCursor(base.SQLiteCursorWrapper):
    """A cursor that passes the gate before whatever may write."""

    def __init__(self, connection: sqlite3.Connection, wrapper: DatabaseWrapper) -> None:
        super().__init__(connection)
        self._wrapper = wrapper
        self._rows: Iterator[Any] | None = None

    def execute(self, query: str, params: Any = None) -> Any:
        """Execute, through the gate when the statement may write."""
        self._rows = None
        if query.lstrip()[:7].upper().startswith(READS):
            return super().execute(query, params)
        self._wrapper.enter_gate()
        try:
            result = super().execute(query, params)
            if self.description is not None:
                # INSERT ... RETURNING ends with its last row: read them all while the gate is ours.
                self._rows = iter(super().fetchall())
            return result
        finally:
            self._wrapper.leave_gate()

    def executemany(self, query: str, param_list: Iterable[Any]) -> Any:
        """Execute for each parameter set, through the gate."""
        self._rows = None
        self._wrapper.enter_gate()
        try:
            return super().executemany(query, param_list)
        finally:
            self._wrapper.leave_gate()

    def fetchone(self) -> Any:
        """Return the next row or None."""
        return super().fetchone() if self._rows is None else next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows."""
        count = self.arraysize if size is None else size
        if self._rows is None:
            return super().fetchmany(count)
        return [row for _, row in zip(range(count), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        return super().fetchall() if self._rows is None else list(self._rows)

    def __next__(self) -> Any:
        return super().__next__() if self._rows is None else next(self._rows)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite connection with the gate around its writes."""

    _gate: Gate | None = None
    _gate_timeout_s: float = 30.0
    _inside: int = 0  # the pid that holds the gate through this connection; a forked child does not

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """Connect; the change of a new file to WAL is a write, too."""
        self._gate = None if self.is_in_memory_db() else gate_of(_file(conn_params["database"]))
        self._gate_timeout_s = float(conn_params.get("timeout", 30.0))
        if self._gate is None or _is_wal(self._gate.path):
            return self._connect(conn_params)
        self.enter_gate()
        try:
            return self._connect(conn_params)
        finally:
            self._release()

    def _connect(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor that knows the gate."""
        return self.connection.cursor(factory=lambda connection: GatedCursor(connection, self))

    def is_usable(self) -> bool:
        """Say whether the connection still reads its file; Django asks after an error and connects anew if not.

        A log that was taken away (a restored backup, a hand in the folder) breaks every statement from then on,
        and a worker that kept such a connection would fail for ever.
        """
        try:
            super().create_cursor().execute("SELECT COUNT(*) FROM sqlite_master")
        except sqlite3.Error:
            return False
        return True

    def enter_gate(self) -> None:
        """Wait for the gate unless this connection is inside; `sqlite3.OperationalError` when it takes too long."""
        if self._gate is None or self._inside == os.getpid():
            return
        try:
            self._gate.acquire(self._gate_timeout_s)
        except GateTimeout as timeout:
            raise sqlite3.OperationalError(f"database is locked: {timeout}") from None
        self._inside = os.getpid()

    def leave_gate(self) -> None:
        """Give the gate back unless a transaction is open."""
        if self._inside and not (self.connection is not None and self.connection.in_transaction):
            self._release()

    def _release(self) -> None:
        inside, self._inside = self._inside, 0
        if self._gate is not None and inside == os.getpid():
            self._gate.release()

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self.leave_gate()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self.leave_gate()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._release()

    def __del__(self) -> None:
        # A thread that ends inside a transaction takes its connection along, which rolls back.
        if self._inside == os.getpid():
            self._close()


def _file(database: Any) -> str:
    text = os.fspath(database)
    return unquote(urlsplit(text).path) if text.startswith("file:") else text


def _is_wal(path: str) -> bool:
    """Say whether somebody has the file open in WAL mode already.

    The database file itself is never opened here: closing it again would drop every lock this process holds on
    it (POSIX locks belong to the process), and another process would then take away the log that is in use.
    """
    return Path(f"{path}-wal").exists()

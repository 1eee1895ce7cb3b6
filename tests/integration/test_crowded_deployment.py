"""Many workers at one deployment neither deadlock nor write over one another, on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from tests.support.races import race

ROUNDS = 8
PROGRAM = "tests.integration.crowd"


def test_on_sqlite(tmp_path: Path) -> None:
    race(PROGRAM, ROUNDS, tmp_path)


def test_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    race(PROGRAM, ROUNDS, tmp_path, DATABASE_URL=postgres_url)

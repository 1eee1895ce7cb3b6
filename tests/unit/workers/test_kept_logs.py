"""Kept logs: the tail is exactly the last lines, whatever the bytes; the newest part survives the bound."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers import logs

LINES = st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(LINES, st.booleans(), st.integers(0, 15))
def test_the_tail_is_the_last_lines(tmp_path: Path, lines: list[bytes], closed: bool, count: int) -> None:
    data = b"\n".join(lines) + (b"\n" if closed and lines else b"")
    path = tmp_path / "log"
    path.write_bytes(data)
    pieces = data.split(b"\n")
    ends = pieces[:-1] if pieces[-1] == b"" else pieces
    rest = b"\n".join(ends[len(ends) - count :] if count < len(ends) else ends) if count else b""
    if count and pieces[-1] == b"" and ends:
        rest += b"\n"
    assert b"".join(logs.tail_of(path, None)) == data
    assert b"".join(logs.tail_of(path, count)) == rest


def test_lines_longer_than_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "log"
    long = b"x" * (3 * logs.CHUNK_BYTES)
    path.write_bytes(b"first\n" + long + b"\nlast\n")
    assert b"".join(logs.tail_of(path, 1)) == b"last\n"
    assert b"".join(logs.tail_of(path, 2)) == long + b"\nlast\n"


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert list(logs.tail_of(tmp_path / "nothing", 5)) == []


@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(1, 200))
def test_the_bound_keeps_the_newest(chunks: list[bytes], limit: int) -> None:
    kept = b"".join(logs.bounded(iter(chunks), limit))
    whole = b"".join(chunks)
    assert whole.endswith(kept)
    assert len(kept) >= min(limit, len(whole))

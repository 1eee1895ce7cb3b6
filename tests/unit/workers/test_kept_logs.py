"""Logs in files: merged by time, cut by time and by lines, whatever the bytes and however often the file turned."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from workers import logfiles
from workers.executors.process.shim import Log

MS = 1_000_000
LINES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=12)), max_size=20)


def write(folder: Path, lines: list[tuple[int, bytes]], limit: int = 1 << 20) -> None:
    logs = {number: Log(str(folder / f"{name}.log"), limit) for number, name in logfiles.NAMES.items()}
    wrote = 0
    for index, (number, line) in enumerate(lines):
        logs[number].write(line, (index + 1) * MS, switched=number != wrote)
        wrote = number
    for log in logs.values():
        log.close()


def text(folder: Path, stream: str = "both", **how: Any) -> bytes:
    return b"".join(payload for batch in logfiles.read(folder, stream, **how) for _, _, payload in batch)


@settings(deadline=None)
@given(LINES, st.integers(0, 25))
def test_both_streams_are_one_text_in_the_order_of_writing(drawn: list[tuple[int, bytes]], tail: int) -> None:
    lines = [(number, data.replace(b"\n", b"") + b"\n") for number, data in drawn]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, lines)
        assert text(folder) == b"".join(line for _, line in lines)
        assert text(folder, tail=tail) == b"".join(line for _, line in lines[-tail:] if tail)
        for number, stream in logfiles.NAMES.items():
            mine = [line for of, line in lines if of == number]
            assert text(folder, stream) == b"".join(mine)
            assert text(folder, stream, tail=tail) == b"".join(mine[-tail:] if tail else [])


def test_since_and_until_cut_by_time(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "stdout.log"), 1 << 20)
    for second in range(10):
        log.write(b"line %d\n" % second, (second + 1) * 1000 * MS)
    log.close()
    assert text(tmp_path, since_ns=9000 * MS) == b"line 8\nline 9\n"
    assert text(tmp_path, until_ns=2000 * MS) == b"line 0\nline 1\n"
    assert text(tmp_path, since_ns=4000 * MS, until_ns=5000 * MS) == b"line 3\nline 4\n"
    assert text(tmp_path, since_ns=99_000 * MS) == b""


def test_a_line_that_the_turn_of_files_cuts_is_one_line(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "stdout.log"), 0)  # the least: 65536 bytes a file
    log.write(b"first\n" + b"x" * 60_000, 1000 * MS)
    log.write(b"y" * 10_000 + b"\nlast\n", 2000 * MS)
    log.close()
    assert (tmp_path / "stdout.log.1").exists()
    assert text(tmp_path, tail=1) == b"last\n"
    assert text(tmp_path, tail=2) == b"x" * 60_000 + b"y" * 10_000 + b"\nlast\n"
    (part,) = logfiles.parts_of(tmp_path / "stdout.log")[1:]
    assert part.before == 60_006


def test_lines_longer_than_a_chunk(tmp_path: Path) -> None:
    long = b"x" * (3 * logfiles.CHUNK_BYTES)
    (tmp_path / "stdout.log").write_bytes(b"first\n" + long + b"\nlast\n")
    assert text(tmp_path, "stdout", tail=1) == b"last\n"
    assert text(tmp_path, "stdout", tail=2) == long + b"\nlast\n"


def test_a_log_of_an_earlier_release_is_read_without_times(tmp_path: Path) -> None:
    (tmp_path / "stdout.log").write_bytes(b"out\n")
    (tmp_path / "stderr.log").write_bytes(b"err\n")
    assert text(tmp_path) == b"out\nerr\n"
    assert b"kept without times" in text(tmp_path, since_ns=1)


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert text(tmp_path / "nothing", tail=5) == b""

"""What is shown of a log: times once a line, the lines that match with what is around them, bounded and said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.refusal import Refusal
from deployments import spans
from deployments.logquery import LogQuery, from_params
from deployments.logtext import LINE_MAX_BYTES, notice, rendered

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT = 1_769_860_800_000_000_000
STAMP = b"2026-01-31T12:00:00.000000Z "


def shown(query: LogQuery, *pieces: tuple[int, bytes], **limits: Any) -> bytes:
    return b"".join(rendered([[(AT, stream, data)] for stream, data in pieces], query, **limits))


@given(st.lists(st.binary(max_size=9), max_size=8), st.integers(1, 9))
def test_times_stand_before_each_line_wherever_pieces_are_cut(lines: list[bytes], size: int) -> None:
    data = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    cut = [(1, data[start : start + size]) for start in range(0, len(data), size)]
    wanted = b"".join(STAMP + line + b"\n" for line in data.split(b"\n")[:-1])
    assert shown(LogQuery(timestamps=True), *cut) == wanted
    assert shown(LogQuery(), *cut) == data


def test_a_search_shows_what_is_around_each_match() -> None:
    data = b"".join(b"line %d\n" % number for number in range(20))
    found = shown(LogQuery(search="line 1", context=1), (1, data))
    assert found.startswith(b"line 0\nline 1\nline 2\n--\nline 9\nline 10\n")
    assert shown(LogQuery(search="LINE 7", ignore_case=True), (1, data)) == b"line 7\n"
    assert shown(LogQuery(search="LINE 7"), (1, data)) == b""
    assert (
        shown(LogQuery(search="7", timestamps=True), (1, data)) == STAMP + b"line 7\n" + STAMP + b"line 17\n"
    )
    assert shown(LogQuery(search="end"), (1, b"no\nthe e"), (2, b"other\n"), (1, b"nd")) == b"the end\n"


def test_a_match_at_the_cut_of_an_endless_line_is_found() -> None:
    data = b"x" * (LINE_MAX_BYTES - 3) + b"needle" + b"y" * 10
    assert b"needle" in shown(LogQuery(search="needle"), (1, data))


def test_a_search_is_bounded_and_says_so() -> None:
    found = shown(LogQuery(search="a"), (1, b"a\n" * 50), (1, b"a\n"), matches_max=10)
    assert found.count(b"a\n") == 10 and b"... more than 10 lines match" in found


def test_a_notice_begins_a_line() -> None:
    batch = [(AT, 1, b"half"), notice("3.0 MB skipped"), (AT, 1, b" rest\n")]
    assert b"".join(rendered([batch], LogQuery())) == b"half\n... 3.0 MB skipped\n rest\n"


def test_spans_and_moments() -> None:
    assert spans.seconds("1h30m") == 5400
    assert spans.seconds("7d") == 7 * 86_400
    assert spans.seconds("250ms") == 0.25
    assert spans.seconds("7 days") is None
    assert spans.point("Since", "10m", NOW) == NOW - timedelta(minutes=10)
    assert spans.point("Since", "2026-01-30", NOW) == datetime(2026, 1, 30, tzinfo=UTC)
    assert spans.point("Since", "2026-01-30T10:00:00+02:00", NOW) == datetime(2026, 1, 30, 8, tzinfo=UTC)
    for wrong in ("yesterday", "", "9999999999w", "1" * 70, "-5m"):
        with pytest.raises(Refusal) as refused:
            spans.point("Since", wrong, NOW)
        assert "10m" in refused.value.hint


def test_every_wrong_parameter_is_named() -> None:
    wrong = {
        "stream": "x",
        "tail": "-1",
        "since": "soon",
        "context": "99",
        "attempt": "last",
        "search": "x" * 300,
    }
    with pytest.raises(Refusal) as refused:
        from_params(wrong, NOW)
    assert {reason.path for reason in refused.value.reasons} == set(wrong)
    query = from_params({"attempt": "previous", "since": "1m", "timestamps": "1"}, NOW)
    assert (query.attempt, query.since, query.timestamps) == (-1, NOW - timedelta(minutes=1), True)

"""From samples to figures: rates and series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.refusal import Refusal
from deployments.usage import (
    POINTS_WANTED,
    Point,
    cpu_percent,
    of_granted,
    per_second,
    rates,
    refuse_too_many,
    series,
    step_for,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND_NS = 1_000_000_000


def point(seconds: float, **values: object) -> Point:
    return Point(at=START + timedelta(seconds=seconds), **values)  # type: ignore[arg-type]


@given(st.integers(0, 1 << 60), st.integers(0, 1 << 40), st.integers(1, 1 << 40))
def test_the_share_of_a_core_is_what_was_used_in_the_time(before: int, used: int, span: int) -> None:
    told = cpu_percent(before + used, before, span)
    assert told == pytest.approx(100 * used / span, abs=0.01)


@pytest.mark.parametrize(("now", "before", "span"), [(None, 1, 5), (1, None, 5), (5, 1, 0), (1, 5, 5)])
def test_no_share_where_it_cannot_be_told(now: int | None, before: int | None, span: int) -> None:
    assert cpu_percent(now, before, span) is None


def test_of_what_was_granted() -> None:
    assert of_granted(10.0, 20) == 50.0
    assert of_granted(None, 20) is None
    assert of_granted(10.0, 0) is None


def test_no_rate_between_attempts_or_without_a_sample_before() -> None:
    before, after = point(0, attempt=1, rx_bytes=900), point(10, attempt=2, rx_bytes=1_000)
    assert per_second(before, after, "rx_bytes") is None
    assert per_second(None, after, "rx_bytes") is None
    assert per_second(point(0, attempt=2), after, "rx_bytes") is None
    assert rates(None, point(0, cpu_percent=7.0))["cpu_percent"] == 7.0


def test_rates_between_two_samples() -> None:
    told = rates(
        point(0, cpu_ns=0, rx_bytes=0, tx_bytes=5), point(10, cpu_ns=SECOND_NS, rx_bytes=100, tx_bytes=5)
    )
    assert told == {
        "cpu_percent": 10.0,
        "rx_bytes_per_s": 10.0,
        "tx_bytes_per_s": 0.0,
        "read_bytes_per_s": None,
        "written_bytes_per_s": None,
    }


counters = st.lists(st.integers(0, 1 << 50), min_size=1, max_size=60).map(sorted)


@given(counters, st.sampled_from([10, 30, 300]))
def test_dropped_samples_change_no_total(values: list[int], step: int) -> None:
    """The rates of a series, times their spans, are all that was counted between its first and last point."""
    points = [point(10 * index, rx_bytes=value) for index, value in enumerate(values)]
    told = series(points, step)
    at, rate = told["at"], told["rx_bytes_per_s"]
    total = sum(rate[index] * (at[index] - at[index - 1]) for index in range(1, len(at)))
    first = max(index for index, one in enumerate(points) if one.at.timestamp() == at[0])
    assert total == pytest.approx(values[-1] - values[first], abs=0.1 * step * len(at))
    assert rate[0] is None


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=80, unique=True).map(sorted),
    st.sampled_from([10, 60, 300]),
)
def test_at_most_one_point_a_step_in_order_and_the_newest_is_there(seconds: list[int], step: int) -> None:
    told = series([point(one) for one in seconds], step)
    slots = [int(at) // step for at in told["at"]]
    assert slots == sorted(set(slots))
    assert told["at"][-1] == (START + timedelta(seconds=seconds[-1])).timestamp()
    assert {len(column) for column in told.values()} == {len(slots)}


@given(st.floats(1, 7 * 86_400))
def test_a_chart_gets_no_more_points_than_it_can_show(window_s: float) -> None:
    assert window_s / step_for(window_s) <= POINTS_WANTED + 1
    assert step_for(3_600.2) == 10


def test_too_many_points_are_refused_with_the_step_that_would_do() -> None:
    refuse_too_many(3_600, 10, 2_000)
    with pytest.raises(Refusal, match="8641 points") as refused:
        refuse_too_many(86_400, 10, 2_000)
    assert "Step of at least 44 s" in refused.value.hint
    refuse_too_many(86_400, 44, 2_000)


def test_gpus_are_a_column_only_where_there_are_some() -> None:
    assert "gpus" not in series([point(0)], 10)
    assert series([point(0, gpus=[{"index": 0}])], 10)["gpus"] == [[{"index": 0}]]


def test_without_samples_the_columns_are_there_and_empty() -> None:
    told = series([], 10)
    assert {"at", "cpu_percent", "rx_bytes_per_s", "ram_used_bytes"} <= set(told)
    assert not any(told.values())

"""Sizes, cores and clocks are read exactly, and refused with a sentence."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.quantities import cores_number, parse_bytes, parse_centicores, parse_hertz, show_bytes, show_cores


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (4, 4 << 30),
        (0.5, 1 << 29),
        ("4", 4 << 30),
        ("4GiB", 4 << 30),
        ("4 gib", 4 << 30),
        ("512MiB", 512 << 20),
        ("10GB", 10_000_000_000),
        ("1.5 TiB", 3 << 39),
        ("1e3 KB", 1_000_000),
        ("7B", 7),
        (4 << 30, 4 << 30),
        ((1 << 53) + 1, (1 << 53) + 1),
    ],
)
def test_it_reads_sizes(text: object, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "bad", ["", "four", "4 XB", "-1", "NaN", "inf", "1e400", None, True, [], "1e999999999"]
)
def test_it_refuses_what_is_no_size(bad: object) -> None:
    with pytest.raises(ValueError, match="ram"):
        parse_bytes(bad, "ram")


def test_cores_are_rounded_up_to_hundredths() -> None:
    assert [parse_centicores(v) for v in (1, "0.25", 0.1, "0.001", Decimal("1.999"))] == [100, 25, 10, 1, 200]


def test_it_reads_clocks() -> None:
    assert [parse_hertz(v) for v in (2.4, "2400 MHz", 2_400_000_000, "1Hz")] == [2_400_000_000] * 3 + [1]


@given(st.integers(0, 10**9))
def test_cores_survive_json(centicores: int) -> None:
    assert parse_centicores(cores_number(centicores)) == centicores


@given(st.integers(0, 1 << 60))
def test_shown_sizes_never_promise_more(size: int) -> None:
    assert parse_bytes(show_bytes(size)) <= size <= parse_bytes(show_bytes(size, up=True))


def test_it_speaks_of_cores() -> None:
    assert [show_cores(c) for c in (100, 25, 150, 1000)] == ["1 core", "0.25 cores", "1.5 cores", "10 cores"]

"""Go's JSON: the rules one by one (tests/interop compares with Go itself)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.gojson import (
    UINT64_MAX,
    JsonFault,
    bytes_of,
    dumpb,
    dumps,
    loads,
    members,
    quote,
    quote_bytes,
    text_of,
    texts_of,
    uint64_of,
)

NAMES = frozenset({"msg", "opt"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), UINT64_MAX) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain/é\U0001f600", '"plain/é\U0001f600"'),
        ("<a>&", r'"\u003ca\u003e\u0026"'),
        ("\u2028\u2029", r'"\u2028\u2029"'),
        ('"\\', r'"\"\\"'),
        ("\n\r\t", r'"\n\r\t"'),
        ("\b\f\0\x1f", r'"\u0008\u000c\u0000\u001f"'),
        ("\x7f\u0085\ufffd", '"\x7f\u0085\ufffd"'),
        ("\udcff", r'"\ufffd"'),
    ],
)
def test_strings(text: str, literal: str) -> None:
    assert quote(text) == literal


def test_other_values() -> None:
    value = {"b": [True, False, None], "a": {"n": UINT64_MAX, "s": b"\xff\xfe"}, "e": {}, "l": []}
    assert dumps(value) == ('{"b":[true,false,null],"a":{"n":18446744073709551615,"s":"//4="},"e":{},"l":[]}')
    assert quote_bytes(b"") == '""'
    for foreign in (1.5, {1, 2}, object()):
        with pytest.raises(TypeError):
            dumps(foreign)


@given(VALUES)
def test_round_trip(value: object) -> None:
    data = dumpb(value)
    assert loads(data, max_bytes=len(data)) == value == json.loads(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (b'"\xff\xe2\x82"', "\ufffd\ufffd\ufffd"),
        (b'{"\xff":["\xed\xa0\x80"]}', {"\ufffd": ["\ufffd\ufffd\ufffd"]}),
    ],
)
def test_what_is_no_text_becomes_a_replacement(data: bytes, value: object) -> None:
    assert loads(data, max_bytes=100) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"[1,]",
        b"{'a':1}",
        b'"\n"',
        b"\xef\xbb\xbf{}",
        b"{}x",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"1" * 100_000,
    ],
)
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(JsonFault) as caught:
        loads(data, max_bytes=1 << 20)
    assert caught.value.code == "invalid_message"
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '[{"x":{"b":1,"a":1,"b":2}}]', '{"a":1,"\\u0061":2}'])
def test_a_name_stands_once(text: str) -> None:
    with pytest.raises(JsonFault, match="given twice"):
        loads(text.encode(), max_bytes=100)


def test_the_size_is_bounded() -> None:
    assert loads(b'"1234"', max_bytes=6) == "1234"
    with pytest.raises(JsonFault, match="6 bytes of JSON, 5 are allowed"):
        loads(b'"1234"', max_bytes=5)


def test_members() -> None:
    assert members({"MSG": 1, "oPt": 2, "other": 3}, NAMES, "x") == {"msg": 1, "opt": 2}
    for twice in ({"msg": 1, "MSG": 2}, {"MSG": 1, "Msg": 2}):
        with pytest.raises(JsonFault, match="given twice"):
            members(twice, NAMES, "x")
    others: list[Any] = [None, [], "x", 1, True]
    for other in others:
        with pytest.raises(JsonFault, match="an object is needed"):
            members(other, NAMES, "x")


def test_typed_members() -> None:
    assert (text_of(None, "x"), text_of("a", "x")) == ("", "a")
    assert (texts_of(None, "x"), texts_of(["a"], "x")) == ((), ("a",))
    assert (uint64_of(None, "x"), uint64_of(UINT64_MAX, "x")) == (0, UINT64_MAX)
    assert (bytes_of(None, "x"), bytes_of("", "x"), bytes_of("//4=", "x")) == (None, b"", b"\xff\xfe")
    refused: list[tuple[Callable[[Any, str], Any], list[Any]]] = [
        (text_of, [1, [], True]),
        (texts_of, ["a", [1], {}]),
        (uint64_of, [-1, UINT64_MAX + 1, 1.0, "1", True]),
        (bytes_of, ["//4", "//4=\n", "_-8=", "é", 1, ["//4="]]),
    ]
    for read, values in refused:
        for value in values:
            with pytest.raises(JsonFault):
                read(value, "x")

"""Hostile and broken texts: bounded work, one clear message, never an exception."""

import json
import string
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capabilities.numbers import Numbers
from deployments.ensemble import parse, parse_document
from deployments.ensemble.load import load
from deployments.ensemble.problems import Report
from deployments.ensemble.source import read
from deployments.ensemble.tree import Mapping, Tree, plain

GOOD = """
allocations:
  a:
    type: task
    executor: docker
    resources: {cpu: {cores: 1}, ram: {size: 1}, disk: {size: 1}}
    execution: {type: docker, image: alpine}
nodes:
  n: {allocations: [a]}
"""


def only_error(text: str | bytes, **numbers: int) -> str:
    parsed = parse(text, numbers=Numbers(**numbers))
    assert parsed.ensemble is None
    assert len(parsed.errors) == 1, parsed.errors
    assert parsed.errors[0].hint
    return parsed.errors[0].message


def tree(text: str) -> Tree:
    report = Report()
    found = load(text, report)
    assert report.errors == []
    assert found is not None
    return found


def test_alias_bomb_is_refused_before_it_is_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    tracemalloc.start()
    message = only_error("\n".join(lines))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "aliases are expanded" in message
    assert peak < 20_000_000


def test_aliases_of_one_long_text_are_bounded_too():
    text = f"long: &l {'x' * 500_000}\nlist: [{', '.join(['*l'] * 1000)}]"
    assert "aliases are expanded" in only_error(text)


def test_alias_bomb_through_merge_keys_is_refused():
    wide = ", ".join(f"k{n}: 1" for n in range(1000))
    maps = "\n".join(f"m{n}: {{<<: *w}}" for n in range(1000))
    assert "aliases are expanded" in only_error(f"w: &w {{{wide}}}\n{maps}")


def test_templates_cannot_multiply_beyond_the_budget():
    wide = ", ".join(f"k{n}: 1" for n in range(2000))
    allocations = "\n".join(f"  a{n}: {{resources: {{name: w}}}}" for n in range(1000))
    parsed = parse(f"resources:\n  w: {{{wide}}}\nallocations:\n{allocations}\n")
    assert ["templates expand" in error.message for error in parsed.errors] == [True]


def test_number_of_aliases_is_bounded():
    text = f"a: &a 1\nb: [{', '.join(['*a'] * 51)}]"
    assert "more than 50 aliases" in only_error(text, ensemble_max_aliases=50)


def test_alias_of_itself_and_unknown_alias():
    assert "contains itself" in only_error("a: &a [*a]")
    assert "no anchor" in only_error("a: *b")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 5_000, "a:\n" * 3])
def test_deep_nesting_is_refused(text):
    parsed = parse(text)
    assert parsed.ensemble is None
    assert parsed.errors[0].line > 0


def test_depth_limit_counts_what_aliases_add():
    levels = "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} {{x: *a{n - 1}}}" for n in range(1, 40))
    assert "nested deeper than 32" in only_error(levels)


def test_file_of_100_mb_is_refused_unread(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    report = Report()
    tracemalloc.start()
    assert read(path, report, max_bytes=1 << 20) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "larger than 1024 KiB" in report.errors[0].message
    assert peak < 1_000_000


def test_endless_file_is_read_up_to_the_limit_only():
    from pathlib import Path

    report = Report()
    assert read(Path("/dev/zero"), report, max_bytes=1 << 20) is None
    assert "larger than" in report.errors[0].message


def test_text_over_the_limit_is_refused():
    assert "larger than" in only_error("x" * ((1 << 20) + 1))
    assert "larger than" in only_error("ä" * (1 << 20))
    assert "larger than" in only_error(b" " * ((1 << 20) + 1))


@pytest.mark.parametrize(
    "tag", ["!!python/object:os.system", "!!python/object/apply:os.system ['true']", "!custom", "!!binary"]
)
def test_tags_are_refused_and_never_constructed(tag):
    parsed = parse(f"allocations: {tag} x\n" if "[" not in tag else f"allocations: {tag}\n")
    assert parsed.ensemble is None
    assert any("the tag !" in error.message for error in parsed.errors)


def test_core_tags_are_fine():
    assert plain(tree("a: !!str 1\nb: !!int 2\nc: !!map {d: !!seq []}")) == {"a": "1", "b": 2, "c": {"d": []}}


def test_duplicate_keys_name_both_places():
    parsed = parse(GOOD.replace("    type: task\n", "    type: task\n    type: service\n"))
    (error,) = parsed.errors
    assert (error.path, error.line) == ("allocations.a.type", 5)
    assert "twice" in error.message
    assert "line 4" in error.hint


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", ".NaN"])
def test_sizes_that_are_no_finite_number(value):
    parsed = parse(GOOD.replace("ram: {size: 1}", f"ram: {{size: {value}}}"))
    (error,) = parsed.errors
    assert error.path == "allocations.a.resources.ram.size"
    assert "finite" in error.message


@pytest.mark.parametrize(
    "value", ["nan", "0", "-1", "1e999", "1e-999", "9" * 400, "9" * 60, "true", "[1]", "1 QiB", '""']
)
def test_bad_sizes(value):
    parsed = parse(GOOD.replace("ram: {size: 1}", f"ram: {{size: {value}}}"))
    assert [error.path for error in parsed.errors] == ["allocations.a.resources.ram.size"]


def test_scalars_follow_yaml_1_2():
    text = "[no, on, yes, off, 012, 0o17, 0x1F, 1_000, 1:30, ~, null, true, 2026-01-01, '1', 1e3, .5, +7]"
    assert plain(tree(text)) == [
        "no", "on", "yes", "off", 12, 15, 31, "1_000", "1:30", None, None, True, "2026-01-01", "1", 1000.0, 0.5, 7,
    ]  # fmt: skip


def test_merge_keys_give_way_to_the_maps_own_keys():
    found = plain(tree("b: &b {x: 1, y: 2}\nc: &c {y: 3, z: 4}\nd: {<<: [*b, *c], x: 9}"))
    assert found["d"] == {"x": 9, "y": 2, "z": 4}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (GOOD.encode("utf-16"), "UTF-16"),
        (GOOD.encode("utf-32"), "UTF-32"),
        (b"a: \xff\n", "no UTF-8"),
        (b"a: \x00\n", "U+0000"),
        ("a: \x1b[31m", "U+001B"),
        ("a: \ud800", "U+D800"),
        ("", "empty"),
        ("---\n", "empty"),
        ("- a\n", "map"),
        ("hello", "map"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("a:\n\t- b", "YAML"),
        ("a: [1, 2", "YAML"),
        ("? [a]\n: b\n", "key must be text"),
    ],
)
def test_broken_sources_get_one_clear_error(source, message):
    parsed = parse(source)
    assert parsed.ensemble is None
    assert any(message in error.message for error in parsed.errors)
    assert all(error.hint for error in parsed.errors)


def test_byte_order_mark_and_windows_line_ends_are_fine():
    assert parse(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).ensemble is not None


def test_json_with_escaped_astral_characters():
    document = {"metadata": {"name": "\U0001f680"}}
    assert plain(tree(json.dumps(document))) == document


def test_ten_thousand_allocations_are_the_limit():
    def text(count: int) -> str:
        names = [f"a{n}" for n in range(count)]
        body = "x: &x {type: task, executor: docker, resources: &r {cpu: {cores: 1}, ram: {size: 1}, disk: {size: 1}}"
        body += ", execution: {type: docker, image: alpine}}\nallocations:\n"
        body += "".join(f" {name}: *x\n" for name in names)
        return body + f"nodes: {{n: {{allocations: [{', '.join(names)}]}}}}"

    assert len(parse(text(10_000)).required().allocations) == 10_000
    parsed = parse(text(10_001))
    assert [error.path for error in parsed.errors] == ["allocations"]
    assert "10001 allocations are more than 10000" in parsed.errors[0].message


def test_number_of_problems_is_bounded():
    parsed = parse("allocations:\n" + "".join(f"  a{n}: 1\n" for n in range(5000)))
    assert len(parsed.errors) == 201


@given(st.text(max_size=300))
def test_no_text_raises(text):
    parsed = parse(text)
    assert (parsed.ensemble is None) == bool(parsed.errors)


@given(st.binary(max_size=300))
def test_no_bytes_raise(data):
    parse(data)


YAML_LIKE = st.text(alphabet="ab:{}[]&*!<>-|,#'\"\n ?~$%@1.0", max_size=120)


@given(YAML_LIKE)
@settings(max_examples=200)
def test_no_yaml_like_text_raises(text):
    parse(text)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
MEMBERS: tuple[str, ...] = (
    "allocations",
    "nodes",
    "edges",
    "supervisor",
    "keys",
    "scripts",
    "subnet",
    "exclude_peers",
)
MEMBERS += ("metadata", "contracts", "resources", "volumes", "version", "escalation_strategy", "V1")


@given(st.dictionaries(st.sampled_from(MEMBERS), PLAIN, max_size=6))
@settings(max_examples=200)
def test_no_document_raises(document):
    parsed = parse_document(document)
    assert (parsed.ensemble is None) == bool(parsed.errors)


@given(st.sampled_from(sorted(Numbers.__dataclass_fields__)), PLAIN, st.integers(0, 30))
@settings(max_examples=200)
def test_no_wrong_value_anywhere_raises(_, value, position):
    """Put any value in the place of any member of a valid ensemble."""
    document = plain(tree(GOOD))
    places: list[tuple[dict[str, object], str]] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            for key, child in node.items():
                places.append((node, key))
                walk(child)

    walk(document)
    holder, key = places[position % len(places)]
    holder[key] = value
    parse_document(document)


def test_marks_stand_for_their_lines():
    root = tree("a: 1\nb:\n  c: [x,\n      y]\n")
    assert isinstance(root, Mapping)
    assert (root.mark_of("b").line, root.mark_of("b").column) == (2, 1)


@pytest.mark.parametrize(
    "text",
    ["a: &a x\n" * 100_000, "? " * 500_000, '"' + "\\x41" * 250_000, "- - " * 250_000, "*a " * 300_000],
    ids=["anchors", "keys", "escapes", "dashes", "aliases"],
)
def test_texts_at_the_size_limit_end_by_a_bound(text):
    """Quadratic work on these would run into the time-out of the test."""
    assert parse(text).errors

"""Timelines as files: one object a line, or a table that no spreadsheet executes."""

from __future__ import annotations

import csv
import io
import json

from node.export import comma_separated, json_lines

ROWS = [
    {"at": "2026-01-31T12:00:00Z", "kind": "status", "text": "=cmd()", "data": {"to": "Running"}},
    {"at": "2026-01-31T12:00:01Z", "kind": "bid", "text": 'said "ü",\nand more', "data": {}},
]


def test_json_lines_are_the_rows() -> None:
    assert [json.loads(line) for line in json_lines(ROWS).splitlines()] == ROWS


def test_a_table_has_a_head_and_no_formulas() -> None:
    head, first, second = csv.reader(io.StringIO(comma_separated(ROWS)))
    assert head == ["at", "kind", "text", "data"]
    assert first[2:] == ["'=cmd()", '{"to": "Running"}']
    assert second[2] == 'said "ü",\nand more'
    assert comma_separated([]) == ""

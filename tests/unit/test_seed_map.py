"""The map of the mission's document is complete, and everything it points to exists."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import pytest

from tests.support.require import ROOT, require
from tests.support.seed import read

ROW = re.compile(r"^\| `([\w.]+)` \| (.+?) \| (.*?) \| (.*?) \|$")


def rows() -> dict[str, tuple[str, str, str]]:
    found = {}
    for line in (ROOT / "docs" / "seed-map.md").read_text().splitlines():
        if match := ROW.match(line):
            found[match[1]] = (match[2].strip("` "), match[3].strip("` "), match[4].strip())
    return found


def test_every_symbol_has_its_line() -> None:
    require("shared")
    shared = Path(os.environ.get("DMS_SHARED") or ROOT.parent / "shared")
    symbols = read(shared / "seed")
    assert len(symbols) > 200
    assert [symbol for symbol in symbols if symbol not in rows()] == []


@pytest.mark.parametrize("pointer", sorted({here for here, _, _ in rows().values() if here != "—"}))
def test_what_it_points_to_exists(pointer: str) -> None:
    module, _, names = pointer.partition(":")
    found = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)


def test_every_line_has_a_test_or_a_reason() -> None:
    for symbol, (here, test, why) in rows().items():
        assert why or here != "—", f"{symbol}: neither here nor explained"
        assert test or here == "—", f"{symbol}: no test shows it"
        if test:
            assert (ROOT / test).is_file(), f"{symbol}: {test} does not exist"

"""Names of hardware contexts, and the file of their aliases."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capabilities import hardware
from capabilities.hardware import (
    alias_check,
    alias_remove,
    alias_set,
    aliases_read,
    is_ledger_context,
    ledger_context,
    ledger_index,
)
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal


def fault(call: object, *arguments: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value


@given(st.text())
@example("s")
@example("-work")
@example("0")
def test_no_name_is_caught_by_its_beginning(rest: str) -> None:
    assert is_ledger_context(f"ledger{rest}") is (rest == "" or rest.startswith(":"))
    assert not is_ledger_context(f"x{rest}")


@given(st.integers(0, hardware.INDEX_MAX), st.sampled_from(["", "+", "0", "00"]))
def test_numbers(index: int, before: str) -> None:
    assert ledger_context(f"ledger:{before}{index}", {}) == f"ledger:{index}"


def test_the_first_account_has_the_short_name() -> None:
    assert ledger_index("ledger", {}) == 0
    assert ledger_context("ledger", {}) == "ledger:0"


@given(st.text(min_size=1, max_size=70), st.integers(0, 99))
@example("١٢", 1)
@example("-1", 1)
@example("a:b", 1)
def test_an_alias_is_found_or_could_not_be_made(alias: str, index: int) -> None:
    try:
        alias_check(alias)
    except Refusal as refusal:
        assert refusal.code == "ledger_alias"
        assert refusal.hint
        return
    assert ledger_index(f"ledger:{alias}", {alias: index}) == index
    missing = fault(ledger_index, f"ledger:{alias}", {})
    assert missing.detail.startswith("ledger alias not found")


@pytest.mark.parametrize("alias", ["", "a:b", "7", "007", "-7", "+7", "٧", "²", " a", "a\n", "x" * 65])
def test_what_is_no_alias(alias: str, tmp_path: Path) -> None:
    assert fault(alias_set, tmp_path / "a.json", alias, 0).code == "ledger_alias"
    assert not (tmp_path / "a.json").exists()


def test_wrong_names_say_what_would_be_right() -> None:
    assert "ledger index cannot be negative" in fault(ledger_index, "ledger:-1", {}).detail
    assert "too large" in fault(ledger_index, f"ledger:{hardware.INDEX_MAX + 1}", {}).detail
    assert "not found" in fault(ledger_index, "ledger:", {}).detail
    assert "not found" in fault(ledger_index, "ledger:" + "9" * 5000, {}).detail
    assert fault(ledger_index, "ledgers", {}).code == "ledger_context"
    assert "work" in fault(ledger_index, "ledger:wrok", {"work": 1}).hint


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / hardware.FILE
    assert aliases_read(path) == {}
    assert alias_set(path, "work", 3) is None
    assert json.loads(path.read_text()) == {"work": 3}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert alias_set(path, "work", 4) == 3
    (backup,) = path.parent.glob(f"{path.name}.*")
    assert int(backup.suffix[1:]) > 1_600_000_000
    assert json.loads(backup.read_text()) == {"work": 3}
    assert "negative" in fault(alias_set, path, "work", -1).detail
    assert alias_remove(path, "work") == 4
    assert aliases_read(path) == {}
    assert fault(alias_remove, path, "work").status == 404


def test_few_backups_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / hardware.FILE
    (tmp_path / f"{hardware.FILE}.mine").write_text("not a backup")
    for moment in range(20):
        monkeypatch.setattr("capabilities.hardware.time.time", lambda moment=moment: 95 + moment)
        alias_set(path, "work", moment)
    assert len(hardware._backups(path)) == NUMBERS.saved_contexts_kept
    assert (tmp_path / f"{hardware.FILE}.114").exists()
    assert (tmp_path / f"{hardware.FILE}.mine").exists()


def test_nobodys_alias_is_lost_when_two_write(tmp_path: Path) -> None:
    path = tmp_path / hardware.FILE
    names = [f"a{number}" for number in range(16)]
    threads = [threading.Thread(target=alias_set, args=(path, name, 1)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(aliases_read(path)) == sorted(names)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"a":"1"}', '{"a":true}', '{"a":-1}', '{"a":1.0}', '{"7":1}', '{"a:b":1}'),
        *('{"a":1,"a":2}', '{"a":99999999999999999999}', '{"a":1}' + " " * NUMBERS.ledger_aliases_max_bytes),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / hardware.FILE
    path.write_text(text)
    for call, *arguments in ((aliases_read, path), (alias_set, path, "b", 1), (alias_remove, path, "a")):
        refusal = fault(call, *arguments)
        assert refusal.code == "ledger_aliases"
        assert path.name in refusal.hint
    assert path.read_text() == text

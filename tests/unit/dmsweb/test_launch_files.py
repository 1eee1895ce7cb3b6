"""Log rotation, the sprite of icons, the environment's stamp, the oldest Python."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from dmsweb.launch import environment
from dmsweb.launch.assets import sprite
from dmsweb.launch.rotate import last_line, rotate
from tests.support.site import ROOT

SVG = '<svg\n  width="24"\n>\n  <path stroke="none" d="M0 0h24v24H0z" fill="none" />\n  <path d="M1 1" />\n</svg>\n'


def test_a_log_is_moved_when_it_is_large_and_the_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a" * 100)
        assert not rotate(log, 100)
        writer.write(b"b\n")
        assert rotate(log, 100)
        writer.write(b"later\n")
    assert log.read_text() == "later\n"
    assert log.with_name("web.log.1").read_text() == "a" * 100 + "b\n"
    assert not rotate(tmp_path / "none.log", 1)


def test_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("first\nValueError: bad\n\n")
    assert last_line(log) == "ValueError: bad"


def test_the_sprite_has_a_symbol_for_each_icon(tmp_path: Path) -> None:
    for name in ("plus", "home"):
        (tmp_path / f"{name}.svg").write_text(SVG)
    text = sprite(tmp_path, ["plus", "home", "plus"])
    assert text.count("<symbol") == 2
    assert '<symbol id="home" viewBox="0 0 24 24"' in text
    assert '<path d="M1 1" /></symbol>' in text
    assert "M0 0h24v24H0z" not in text


def test_an_icon_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing.svg"):
        sprite(tmp_path, ["nothing"])


def test_an_environment_is_brought_up_to_date_when_the_lock_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".venv"
    venv.create(folder, with_pip=False)
    installed: list[str] = []
    monkeypatch.setattr(
        environment, "_install", lambda folder, checkout, lock: installed.append(lock.read_text())
    )
    lock = tmp_path / "requirements.txt"
    for text in ("a==1", "a==1", "a==2"):
        lock.write_text(text)
        environment.ensure(folder, tmp_path, "requirements.txt")
    assert installed == ["a==1", "a==2"]
    (folder / "bin" / "python").unlink()
    made: list[Path] = []
    monkeypatch.setattr(environment, "_create", made.append)
    environment.ensure(folder, tmp_path, "requirements.txt")
    assert made == [folder]


def test_an_environment_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("a==1")
    (tmp_path / "file").write_text("")
    with pytest.raises(environment.SetUpFault, match="cannot write .*file"):
        environment.ensure(tmp_path / "file" / ".venv", tmp_path, "requirements.txt")


def test_an_old_python_is_told_so() -> None:
    run = f"runpy.run_path({str(ROOT / 'dms')!r}, run_name='__main__')"
    code = f"import sys, runpy; sys.version_info = (3, 9, 1); sys.argv = ['dms']; {run}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": "/nowhere"}
    )
    assert done.returncode == 1
    assert done.stderr == "dms needs Python 3.11 or newer; this is 3.9.1. Install python3.11 or later.\n"

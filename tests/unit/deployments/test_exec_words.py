"""What is written down of a command says all of it, on one line, and steers no terminal."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from deployments.exec_words import ending, printable
from deployments.outside import Command
from workers.executors.shell import MARK, additions, argv_of

WORDS = st.lists(st.text(max_size=40), min_size=1, max_size=8)


@given(WORDS, st.integers(2, 400))
def test_a_command_is_one_bounded_line(words: list[str], limit: int) -> None:
    text = printable(words, limit)
    assert len(text) <= limit
    assert text.isprintable()


@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), min_size=1, max_size=5)
)
def test_nothing_of_it_is_lost(words: list[str]) -> None:
    assert shlex.split(printable(words, 10_000)) == words


def test_what_would_hide_something_is_shown() -> None:
    assert printable(["sh", "-c", "true\nrm -rf /\x1b[2K"]) == r"sh -c 'true\nrm -rf /\x1b[2K'"
    assert printable([]) == "(shell)"


def test_an_end_is_a_sentence() -> None:
    assert ending(0, "", 1.24) == "exit code 0 after 1.2 s"
    assert ending(None, "site_stopped", 75.4) == "no exit code, site stopped after 75 s"


def test_a_terminal_adds_what_line_editing_needs_and_keeps_the_workloads_choice() -> None:
    shell = Command(tty=True, term="vt100")
    assert additions(shell, [], "m") == {MARK: "m", "TERM": "vt100", "LANG": "C.UTF-8"}
    assert additions(shell, ["LC_ALL"], "m") == {MARK: "m", "TERM": "vt100"}
    assert additions(Command(), [], "m") == {MARK: "m"}
    assert argv_of(Command(argv=("ls", "-l"))) == ["ls", "-l"]
    assert "bash" in argv_of(shell)[-1]

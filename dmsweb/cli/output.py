"""What the command line prints: one JSON document on stdout, or text and tables for people; the rest on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_TIMED_OUT = 3

# Names and messages may come from strangers: nothing of theirs may steer the terminal.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Table:
    """Headers and rows of text."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for `Output.table`."""
    return Table(headers, rows)


def clean(text: str) -> str:
    """Return `text` without control characters, tab and line breaks excepted."""
    return _CONTROL.sub("\ufffd", text)


class Output:
    """Prints to stdout, and says things beside the result on stderr."""

    def json(self, document: Any) -> None:
        """Print one JSON document."""
        self._write_json(document, indent=2)

    def json_line(self, document: Any) -> None:
        """Print one line of JSON Lines."""
        self._write_json(document)

    def _write_json(self, document: Any, indent: int | None = None) -> None:
        text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
        try:
            text.encode(sys.stdout.encoding or "utf-8")
        except UnicodeEncodeError:  # a locale without these letters: escaped, the document is the same
            text = json.dumps(document, indent=indent, default=str)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def line(self, text: str = "") -> None:
        """Print text for people."""
        sys.stdout.write(clean(text) + "\n")
        sys.stdout.flush()

    def log(self, text: str) -> None:
        """Say something on stderr."""
        sys.stderr.write(clean(text) + "\n")
        sys.stderr.flush()

    def table(self, found: Table) -> None:
        """Print a table: fitted to the terminal, or unabridged when stdout is no terminal."""
        if not found.rows:
            self.line("(none)")
            return
        if not sys.stdout.isatty():
            self._aligned(found)
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, header in enumerate(found.headers):
            # What a row is called is what people type next: it stays in one piece however narrow the window.
            shown.add_column(header, overflow="fold", no_wrap=index == 0)
        for row in found.rows:
            shown.add_row(*(Text(clean(cell)) for cell in row))
        Console(no_color="NO_COLOR" in os.environ or None, highlight=False).print(shown)

    def _aligned(self, found: Table) -> None:
        rows = [[clean(cell).replace("\n", " ") for cell in row] for row in [found.headers, *found.rows]]
        widths = [max(len(row[index]) for row in rows) for index in range(len(found.headers))]
        for row in rows:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def problem(self, document: Mapping[str, Any]) -> None:
        """Say a problem document on stderr: the detail, every reason that adds to it, the hint."""
        detail = str(document.get("detail") or document.get("title") or "refused")
        hint = str(document.get("hint") or "")
        self.log(f"dms: {detail}")
        reasons = document.get("errors")
        lines = [reason_line(reason, hint) for reason in reasons] if isinstance(reasons, list) else []
        if len(lines) > 1 or (lines and not detail.endswith(lines[0])):
            for line in lines:
                self.log(f"  - {line}")
        if hint and not any(line.endswith(hint) for line in lines):
            self.log(f"  hint: {hint}")


def reason_line(reason: Any, said: str = "") -> str:
    """Return one reason of a problem document on one line, saying nothing twice; `said`: the document's hint."""
    if not isinstance(reason, Mapping):
        return str(reason)
    text = str(reason.get("message") or "")
    where = str(reason.get("subject") or reason.get("path") or "")
    if where and not text.startswith(where):
        text = f"{where}: {text}"
    needed, available = str(reason.get("needed") or ""), str(reason.get("available") or "")
    if needed and available and not (needed in text and available in text):
        text += f" (needed {needed}, available {available})"
    elif not needed and available and available not in text:
        text += f" (given {available})"
    hint = str(reason.get("hint") or "")
    return f"{text}; {hint}" if hint and hint != said else text

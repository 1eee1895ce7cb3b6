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
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()

    def json_line(self, document: Any) -> None:
        """Print one line of JSON Lines."""
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
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
        for header in found.headers:
            shown.add_column(header, overflow="fold")
        for row in found.rows:
            shown.add_row(*(Text(clean(cell)) for cell in row))
        Console(no_color="NO_COLOR" in os.environ or None, highlight=False).print(shown)

    def _aligned(self, found: Table) -> None:
        rows = [[clean(cell).replace("\n", " ") for cell in row] for row in [found.headers, *found.rows]]
        widths = [max(len(row[index]) for row in rows) for index in range(len(found.headers))]
        for row in rows:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def problem(self, document: Mapping[str, Any]) -> None:
        """Say a problem document on stderr: the detail, every reason, the hint."""
        self.log(f"dms: {document.get('detail') or document.get('title') or 'refused'}")
        reasons = document.get("errors")
        for reason in reasons if isinstance(reasons, list) else []:
            self.log(f"  - {reason_line(reason)}")
        if document.get("hint"):
            self.log(f"  hint: {document['hint']}")


def reason_line(reason: Any) -> str:
    """Return one reason of a problem document on one line."""
    if not isinstance(reason, Mapping):
        return str(reason)
    where = reason.get("subject") or reason.get("path")
    text = f"{where}: {reason.get('message', '')}" if where else str(reason.get("message", ""))
    if reason.get("needed") or reason.get("available"):
        text += f" (needed {reason.get('needed', '?')}, available {reason.get('available', '?')})"
    return f"{text}; {reason['hint']}" if reason.get("hint") else text

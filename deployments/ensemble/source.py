"""Bytes to text: what is no UTF-8 text within the size limit is refused by name and place."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from deployments.ensemble.problems import Mark, Report

# What YAML calls printable, and tab and line breaks; everything else is refused.
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDE = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def too_large(report: Report, max_bytes: int) -> None:
    """Report that the document exceeds `max_bytes`."""
    report.error(
        "",
        Mark(1, 1),
        f"the document is larger than {max_bytes >> 10} KiB",
        "use templates or anchors for what repeats, or split the ensemble",
    )


def read(path: Path, report: Report, *, max_bytes: int) -> bytes | None:
    """Return the file's bytes; a file larger than `max_bytes` is refused unread. Raises OSError."""
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        if stat.S_ISREG(facts.st_mode) and facts.st_size > max_bytes:
            too_large(report, max_bytes)
            return None
        return read_stream(file, report, max_bytes=max_bytes)


def read_stream(stream: BinaryIO, report: Report, *, max_bytes: int) -> bytes | None:
    """Return what `stream` holds, reading one byte past `max_bytes` at most."""
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        too_large(report, max_bytes)
        return None
    return data


def decode(source: str | bytes, report: Report, *, max_bytes: int) -> str | None:
    """Return the text of `source` without a byte order mark, or None and an error in `report`."""
    if len(source) > max_bytes:
        too_large(report, max_bytes)
        return None
    if isinstance(source, bytes):
        for start, name in _WIDE:
            if source.startswith(start):
                report.error("", Mark(1, 1), f"the document is {name}", "save it as UTF-8")
                return None
        try:
            text = source.decode("utf-8")
        except UnicodeDecodeError as fault:
            before = source[: fault.start]
            mark = Mark(before.count(b"\n") + 1, fault.start - before.rfind(b"\n"))
            report.error("", mark, f"byte 0x{source[fault.start]:02x} is no UTF-8", "save the file as UTF-8")
            return None
    else:
        text = source
    text = text.removeprefix("\ufeff")
    if (bad := _CONTROL.search(text)) is not None:
        line = text.count("\n", 0, bad.start()) + 1
        mark = Mark(line, bad.start() - text.rfind("\n", 0, bad.start()))
        report.error(
            "", mark, f"the character U+{ord(bad[0]):04X} is not allowed", "remove it, or escape it in quotes"
        )
        return None
    if isinstance(source, str) and len(text.encode("utf-8")) > max_bytes:
        too_large(report, max_bytes)
        return None
    return text

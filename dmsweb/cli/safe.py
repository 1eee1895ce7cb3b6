"""Logs on a terminal: colours pass, what could steer the terminal does not."""

from __future__ import annotations

import re

# Colours (SGR) are let through; other escape sequences, and control characters but tab and line breaks, are not.
_SEQUENCE = re.compile(
    rb"(\x1b\[[0-9;:]*m)"
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"
    rb"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    rb"|\x1b[ -/]*[0-~]?"
    rb"|\xc2[\x80-\x9f]"
    rb"|[\x00-\x08\x0b-\x1f\x7f]"
)
_UNFINISHED = re.compile(rb"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*)?|\xc2)\Z")
HELD_MAX = 4_096


class Safe:
    """Cleans chunks; a sequence that a chunk cuts in two waits for its rest."""

    def __init__(self) -> None:
        self._held = b""

    def text(self, chunk: bytes) -> bytes:
        """Return the chunk without what could steer the terminal."""
        data = self._held + chunk
        self._held = b""
        cut = _UNFINISHED.search(data[-HELD_MAX:])
        if cut:
            start = max(len(data) - HELD_MAX, 0) + cut.start()
            data, self._held = data[:start], data[start:]
        return _SEQUENCE.sub(lambda found: found[1] or b"", data.replace(b"\r\n", b"\n"))

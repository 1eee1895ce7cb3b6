"""A log on a terminal: colours pass, nothing else steers it, wherever the chunks are cut."""

from __future__ import annotations

import pytest

from dmsweb.cli.safe import Safe

TEXT = (
    b"plain \x1b[31mred\x1b[0m\ttab\r\n\x1b[2J\x1b[1;1Hgone\x1b]0;title\x07bell\x07 back\x08"
    + " ü\x9b31m\n".encode()
)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_only_colours_pass(size: int) -> None:
    safe = Safe()
    out = b"".join(safe.text(TEXT[start : start + size]) for start in range(0, len(TEXT), size))
    clean = "plain \x1b[31mred\x1b[0m\ttab\ngonebell back ü31m\n".encode()
    assert out == clean

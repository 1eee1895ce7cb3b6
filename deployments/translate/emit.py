"""An ensemble as YAML text for people: plain where that is unmistakable, and with comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deployments.ensemble.problems import Problem
from deployments.ensemble.scalars import NotFinite, resolve

_PLAIN = re.compile(r"[A-Za-z0-9_/.][A-Za-z0-9_/.@+-]*(?::[A-Za-z0-9_/.@+-]+)*")
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]+")
# Longer lines of a comment help nobody.
_LONGEST = 300


class Noted(str):
    """A text with a comment beside it."""

    note: str = ""

    @classmethod
    def of(cls, text: str, note: str) -> Noted:
        """Return `text` with `note` beside it."""
        made = cls(text)
        made.note = note
        return made


def scalar(value: Any) -> str:
    """Return one value as YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    # A literal ${..} is no placeholder of the ensemble.
    text = str(value).replace("${", "$${")
    if _PLAIN.fullmatch(text) and len(text) < 120:
        if isinstance(value, Noted):
            return text
        try:
            if isinstance(resolve(text), str):
                return text
        except NotFinite:
            pass
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def lines(value: Any, indent: int = 0) -> list[str]:
    """Return a map or a list as lines of block YAML; lists of plain words stay on one line."""
    blank = " " * indent
    found: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            found += _member(f"{blank}{scalar(key)}:", item, indent)
        return found
    for item in value:
        if isinstance(item, Mapping) and item:
            rows = lines(item, indent + 2)
            found.append(f"{blank}- {rows[0].lstrip()}")
            found += rows[1:]
        else:
            found.append(f"{blank}- {_inline(item)}")
    return found


def _member(head: str, item: Any, indent: int) -> list[str]:
    if isinstance(item, Mapping) and item:
        return [head, *lines(item, indent + 2)]
    if isinstance(item, Sequence) and not isinstance(item, str) and item:
        short = _inline(item)
        if not any(isinstance(row, Mapping) for row in item) and len(head) + len(short) < 110:
            return [f"{head} {short}"]
        return [head, *lines(item, indent + 2)]
    note = f"  # {comment(item.note)}" if isinstance(item, Noted) and item.note else ""
    return [f"{head} {_inline(item)}{note}"]


def _inline(item: Any) -> str:
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {_inline(value)}" for key, value in item.items()) + "}"
    if isinstance(item, Sequence) and not isinstance(item, str):
        return (
            "["
            + ", ".join(json_scalar(row) if not isinstance(row, Mapping) else _inline(row) for row in item)
            + "]"
        )
    return scalar(item)


def json_scalar(value: Any) -> str:
    """Return a value inside brackets: texts in quotes, for a comma in one would end it."""
    plain = scalar(value)
    if isinstance(value, str) and not plain.startswith('"'):
        return json.dumps(plain)
    return plain


def comment(text: str) -> str:
    """Return text that cannot end its comment."""
    return _BREAKS.sub(" ", text)[:_LONGEST]


def header(title: str, problems: Iterable[Problem]) -> list[str]:
    """Return a block of comments, empty when there is nothing to say."""
    rows = [f"#   line {item.line}: {comment(item.path)}: {comment(item.message)}" for item in problems]
    return [f"# {title}", *rows, "#"] if rows else []

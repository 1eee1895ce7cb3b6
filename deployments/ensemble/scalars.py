"""Plain scalars by YAML 1.2's core schema: `no` and `on` are text, `012` is twelve, NaN is refused."""

from __future__ import annotations

import re
from decimal import Decimal

# Longer digit strings are text: turning them into numbers costs the square of their length.
MAX_NUMBER_CHARACTERS = 64

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,6})?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class NotFinite(ValueError):
    """The scalar is an infinity or not a number."""


def resolve(text: str) -> None | bool | int | Decimal | str:
    """Return the value of the plain scalar `text`; fractions as exact Decimals. Raises NotFinite."""
    if not text or text[0].isalpha() or text[0] == "~":
        if text in _NULLS:
            return None
        return _TRUTHS.get(text, text)
    if text[0] not in "+-.0123456789" or len(text) > MAX_NUMBER_CHARACTERS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return Decimal(text)
    if _NOT_FINITE.fullmatch(text):
        raise NotFinite(text)
    return text

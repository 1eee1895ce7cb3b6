"""JSON exactly as Go's encoding/json (1.19) writes it, and read under the same rules.

Signatures cover the re-serialised form of a message, so every byte counts: members in the order of the
struct, no blanks, `<`, `>`, `&`, U+2028 and U+2029 escaped, control characters as `\\u00xx` except `\\n`,
`\\r`, `\\t`, byte strings as padded base64, other text as raw UTF-8.

A Go string may hold bytes that are not UTF-8; Go writes each of them as the six characters `\\ufffd`. Here
such a byte is a lone surrogate in a `str` (the `surrogateescape` convention). Reading never yields one: Go
replaces what is not text by U+FFFD, and so does `loads`.
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any

from capabilities.refusal import Refusal

UINT64_MAX = (1 << 64) - 1

_special = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_surrogate = re.compile("[\ud800-\udfff]")
_search = _special.search
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class JsonFault(Refusal, ValueError):
    """The bytes are not JSON, or not of the shape that was asked for; `detail` says where."""

    def __init__(self, detail: str, hint: str = "") -> None:
        Refusal.__init__(self, "invalid_message", detail, hint=hint)


def _escaped(match: re.Match[str]) -> str:
    char = match.group()
    short = _SHORT.get(char)
    if short is not None:
        return short
    return "\\ufffd" if "\ud800" <= char <= "\udfff" else f"\\u{ord(char):04x}"


def quote(text: str) -> str:
    """Return `text` as a JSON string literal, quotes included."""
    if _search(text) is None:
        return f'"{text}"'
    return f'"{_special.sub(_escaped, text)}"'


def quote_bytes(data: bytes) -> str:
    """Return `data` as the literal of its base64, quotes included."""
    return f'"{b2a_base64(data, newline=False).decode("ascii")}"'


def dumps(value: Any) -> str:
    """Return `value` (mappings in insertion order, sequences, str, bytes, int, bool, None) as Go's JSON.

    TypeError for anything else, floats included: no number of the wire formats is one.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, bytes):
        return quote_bytes(value)
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{quote(key)}:{dumps(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    raise TypeError(f"{type(value).__name__} has no place in the wire formats")


def dumpb(value: Any) -> bytes:
    """Return `dumps(value)` as bytes."""
    return dumps(value).encode()


def well_formed(text: str) -> str:
    """Return `text` with everything that is not text replaced by U+FFFD, as a reader would see it."""
    return text if text.isascii() else _surrogate.sub("\ufffd", text)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _surrogate.sub("\ufffd", value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {_surrogate.sub("\ufffd", key): _cleaned(item) for key, item in value.items()}
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is out of range")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Readers differ on which of the two counts, so what one has checked another might not have read.
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise JsonFault(f"the name {name[:40]!r} is given twice", "Give it once.")
            seen.add(name)
    return found


_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once).decode


def loads(data: bytes, *, max_bytes: int) -> Any:
    """Return the JSON value in `data`, of at most `max_bytes` bytes; JsonFault says what is wrong with it."""
    if len(data) > max_bytes:
        raise JsonFault(f"{len(data)} bytes of JSON, {max_bytes} are allowed", "Send less at a time.")
    text = data.decode("utf-8", "surrogateescape")
    try:
        value = _decode(text)
        # Surrogates come from bytes that are not UTF-8 or from \ud8xx escapes; looking costs less than walking.
        if b"\\u" in data or (not text.isascii() and _surrogate.search(text)):
            value = _cleaned(value)
    except RecursionError:
        raise JsonFault("the JSON is nested too deeply") from None
    except JsonFault:
        raise
    except ValueError as error:
        raise JsonFault(f"not JSON: {error}") from None
    return value


def members(value: Any, known: frozenset[str], where: str) -> dict[str, Any]:
    """Return the object `value` with its member names as in `known`, whatever their case; others are dropped.

    JsonFault when it is no object, or when one member stands there twice in different case.
    """
    if type(value) is not dict:
        raise JsonFault(f"{where}: an object is needed, {kind(value)} was given")
    if known.issuperset(value):
        return value
    found: dict[str, Any] = {}
    for name, item in value.items():
        folded = name if name in known else name.casefold()
        if folded in known:
            if folded in found:
                raise JsonFault(f"{where}.{folded} is given twice", "Names are compared without case.")
            found[folded] = item
    return found


def kind(value: Any) -> str:
    """Return the JSON name of `value`'s type, for messages."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def text_of(value: Any, where: str) -> str:
    """Return a string member, absent and null being empty."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise JsonFault(f"{where}: a string is needed, {kind(value)} was given")


def texts_of(value: Any, where: str) -> tuple[str, ...]:
    """Return a list of strings, absent and null being empty."""
    if value is None:
        return ()
    if type(value) is not list:
        raise JsonFault(f"{where}: a list of strings is needed, {kind(value)} was given")
    for item in value:
        if type(item) is not str:
            raise JsonFault(f"{where}: a list of strings is needed, it holds {kind(item)}")
    return tuple(value)


def uint64_of(value: Any, where: str) -> int:
    """Return an unsigned 64-bit number, absent and null being 0."""
    if type(value) is int and 0 <= value <= UINT64_MAX:
        return value
    if value is None:
        return 0
    raise JsonFault(f"{where}: an integer from 0 to {UINT64_MAX} is needed", "No quotes, point or exponent.")


def bytes_of(value: Any, where: str) -> bytes | None:
    """Return the bytes of a base64 member; None when absent or null."""
    if value is None:
        return None
    if type(value) is not str:
        raise JsonFault(f"{where}: base64 is needed, {kind(value)} was given")
    try:
        return a2b_base64(value, strict_mode=True)
    except (Base64Error, ValueError) as error:
        raise JsonFault(f"{where}: not base64: {error}", "Standard alphabet with padding.") from None

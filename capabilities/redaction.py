"""What may stand in a log of what people asked for and changed: no secrets, no documents, bounded depth. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET = re.compile(
    r"pass(word|phrase)|secret|token|private|credential|authorization|api_?key|^link$|^proof$", re.IGNORECASE
)
REMOVED = "(removed)"
DEPTH_MAX = 64


def clean(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON takes it, without what its name says is secret and without texts of many lines."""
    if depth > DEPTH_MAX:
        return "(too deep)"
    if isinstance(value, Mapping):
        return {
            str(key).replace("\x00", ""): REMOVED if SECRET.search(str(key)) else clean(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [clean(item, depth + 1) for item in value]
    if isinstance(value, str):
        # Documents (an ensemble with its environment) may hold secrets in their text.
        return f"({len(value)} characters)" if "\n" in value else value.replace("\x00", "")
    return value if isinstance(value, int | float | bool) or value is None else str(value)

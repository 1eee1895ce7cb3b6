"""The behaviors' part of the OpenAPI document."""

from __future__ import annotations

from typing import Any


def add_behaviors(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add one operation for each registered behavior."""
    return result

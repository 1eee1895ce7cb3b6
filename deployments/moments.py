"""Moments as callers write them."""

from __future__ import annotations

from datetime import datetime

from django.utils.dateparse import parse_datetime

from capabilities.refusal import Refusal


def moment(name: str, text: str) -> datetime:
    """Return the moment that `text` says; Refusal, with the member's name, when it is none or has no zone."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Refusal(
            "invalid_request",
            f"{name}: {text!r} is not a time with a zone",
            hint="RFC 3339: 2026-01-31T12:00:00Z",
        )
    return found

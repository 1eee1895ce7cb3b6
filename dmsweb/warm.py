"""What a process that serves does once before it serves."""

from __future__ import annotations

import gc

from django.urls import get_resolver


def warm() -> None:
    """Load every address and view, so that nobody's first request does, and take what is loaded out of the collector.

    A full collection walks all that lives, some hundred thousand objects of libraries that never die, and stops every
    request for a tenth of a second and more. Frozen, they are walked no more; what requests leave still is.
    """
    assert get_resolver().url_patterns
    gc.collect()
    gc.freeze()

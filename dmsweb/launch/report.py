"""What the supervisor tells whoever started it, over an inherited pipe: one JSON object a line.

{"progress": text} · {"fault": text, "hint": text} · {"admin": {"name", "password"}} · {"ready": url}
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any


class Report:
    """The writing end; silent when nobody asked or the reader has gone."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def say(self, **document: Any) -> None:
        """Send one object."""
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, (json.dumps(document) + "\n").encode())
        except OSError:
            self.close()

    def close(self) -> None:
        """Tell the reader that nothing more comes."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

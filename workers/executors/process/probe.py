"""Which back-end makes sandboxes here, found by making one; kept for a while, as it is asked every few seconds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from workers.executors.base import Availability
from workers.executors.process import cgroups
from workers.executors.process.sandbox import BACKENDS, lacking

INSTALL: Final = "install bubblewrap (apt-get install bubblewrap) or util-linux"
NAMESPACES: Final = (
    "let users make namespaces (sysctl user.max_user_namespaces=10000; on Debian and Ubuntu also "
    "kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0)"
)


class Probe:
    """`attempt(backend)` makes a sandbox and returns why that failed, empty when it worked."""

    def __init__(self, wanted: str | None, attempt: Callable[[str], str], *, kept_s: float) -> None:
        self.wanted = (wanted,) if wanted else BACKENDS
        self.attempt = attempt
        self.kept_s = kept_s
        self.backend = ""
        self._lock = threading.Lock()
        self._known: Availability | None = None
        self._known_for = ("", 0.0)

    def availability(self) -> Availability:
        """Return the last finding while it is fresh and PATH is the same, else find out."""
        path = os.environ.get("PATH", os.defpath)
        with self._lock:
            known_path, until = self._known_for
            if self._known is None or known_path != path or time.monotonic() > until:
                self._known = self._find_out()
                self._known_for = (path, time.monotonic() + self.kept_s)
            return self._known

    def _find_out(self) -> Availability:
        failures: list[str] = []
        hints: list[str] = []
        for backend in self.wanted:
            if missing := lacking(backend):
                failures.append(f"{backend}: {', '.join(missing)} not on PATH")
                hints.append(INSTALL)
            elif failure := self.attempt(backend):
                failures.append(f"{backend}: {failure}")
                hints.append("" if cgroups.HINT in failure else NAMESPACES)
            else:
                self.backend = backend
                return Availability(available=True, detail=f"sandboxes by {backend}", version=backend)
        self.backend = ""
        hint = "; ".join(dict.fromkeys(filter(None, hints)))
        return Availability(available=False, detail="; ".join(failures), hint=hint)

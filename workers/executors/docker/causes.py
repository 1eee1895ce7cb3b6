"""Remembering why an execution was ended: labels of a container cannot change, and a restart must not forget."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from workers.executors.base import Cause


class Causes:
    """One small file an execution, in a folder below the home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remember(self, execution_id: str, cause: Cause, detail: str) -> bool:
        """Keep the cause unless one is kept already: the first reason for an end is the true one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(execution_id)
        if path.exists():
            return False
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"cause": cause.value, "detail": detail}))
        temporary.replace(path)
        return True

    def recall(self, execution_id: str) -> tuple[Cause, str] | None:
        """Return the cause and its sentence, or None."""
        try:
            document = json.loads(self._path(execution_id).read_text())
            return Cause(document["cause"]), str(document["detail"])
        except (OSError, ValueError, KeyError):
            return None

    def forget(self, execution_id: str) -> None:
        """Drop what is kept; harmless when nothing is."""
        self._path(execution_id).unlink(missing_ok=True)

    def _path(self, execution_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(execution_id.encode()).hexdigest()[:32]}.json"

"""A site for measurements: `./dms up --detach` in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent


class BenchSite:
    """Started on entry, stopped on exit."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def cli(self, *args: str) -> str:
        """Run `./dms ARGS` and return what it printed; CalledProcessError when it fails."""
        environment = os.environ | {"DMS_HOME": str(self.home)}
        return subprocess.run(
            [str(ROOT / "dms"), *args],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout

    @property
    def url(self) -> str:
        """The site's address."""
        return str(json.loads((self.home / "run" / "site.json").read_text())["url"]).rstrip("/")

    @property
    def token(self) -> str:
        """The local command line's token."""
        return (self.home / "secrets" / "cli-token").read_text().strip()

    def __enter__(self) -> Self:
        self.cli("up", "--detach", "--port", "0")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cli("down")

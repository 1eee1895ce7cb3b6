"""A site as a person starts it: `./dms up --detach --port 0` in a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UP_TIMEOUT_S = 120


@dataclass
class Site:
    """One site: where it lives and how to talk to it."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    first_output: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """What the supervisor says about itself: url, port, bind, pid."""
        answer: dict[str, Any] = json.loads((self.home / "run" / "site.json").read_text())
        return answer

    @property
    def url(self) -> str:
        """The address of the site, without a slash at the end."""
        return str(self.document["url"]).rstrip("/")

    @property
    def token(self) -> str:
        """The local command line's token (the admin's)."""
        return (self.home / "secrets" / "cli-token").read_text().strip()

    def cli(
        self, *args: str, check: bool = True, timeout_s: float = 120, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `./dms ARGS` against this site; AssertionError with its output when it fails."""
        done = subprocess.run(
            [str(ROOT / "dms"), *args],
            env={**os.environ, **self.environment, "DMS_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            input=stdin,
        )
        if check:
            assert done.returncode == 0, (
                f"dms {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def json(self, *args: str, check: bool = True, timeout_s: float = 120, stdin: str | None = None) -> Any:
        """Run `./dms ARGS --json` and return the document it printed."""
        return json.loads(self.cli(*args, "--json", check=check, timeout_s=timeout_s, stdin=stdin).stdout)

    def up(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Start the site and wait until it is ready."""
        return self.cli("up", "--detach", *(args or ("--port", "0")), check=check, timeout_s=UP_TIMEOUT_S)

    def log(self, name: str) -> str:
        """Return the log of one process, for the message of a failed test."""
        path = self.home / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def running_site(environment: Mapping[str, str] | None = None, *, start: bool = True) -> Iterator[Site]:
    """Give a running site in a fresh home; stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="dms-site-"))
    site = Site(folder / "home", dict(environment or {}))
    try:
        if start:
            site.first_output = site.up().stdout
        yield site
    finally:
        site.cli("down", check=False)
        shutil.rmtree(folder, ignore_errors=True)

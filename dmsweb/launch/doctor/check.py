"""The result of one check of the machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """`cost`: what does not work while `ok` is false; `hint`: how to mend it; `needed`: no site without it."""

    name: str
    ok: bool
    detail: str
    cost: str = ""
    hint: str = ""
    needed: bool = False

    def document(self) -> dict[str, Any]:
        """Return the check as a JSON object."""
        return asdict(self)


def tried(command: Sequence[str]) -> str | None:
    """Run a command that must succeed at once; None when it did, else what it said."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} does not answer"
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    return (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1] if done.returncode else None

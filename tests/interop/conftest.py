"""Our own Go program, built once a session with Debian's Go and its standard library."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support.require import require

SOURCE = Path(__file__).parent / "go" / "main.go"

Speak = Callable[[Iterable[tuple[str, bytes]]], list[bytes]]


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Speak:
    """Send `(kind, data)` lines to Go and return what encoding/json made of each."""
    compiler = require("go")
    folder = tmp_path_factory.mktemp("go")
    program = folder / "gojson"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOCACHE": str(folder / "cache"),
        "GOPATH": str(folder / "path"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    subprocess.run([compiler, "build", "-o", program, SOURCE], check=True, env=environment, cwd=folder)

    def speak(lines: Iterable[tuple[str, bytes]]) -> list[bytes]:
        text = "".join(f"{kind} {data.hex()}\n" for kind, data in lines)
        done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
        answers = done.stdout.splitlines()
        assert not [line for line in answers if line.startswith("error")][:3]
        return [bytes.fromhex(line) for line in answers]

    return speak

"""A Docker Engine for the tests: the running one, else one of our own for as long as they take."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dmsweb.launch.doctor.containers import engine

START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 20.0
# After a `kill -9` the first start may fail waiting for containerd; the second works.
ATTEMPTS = 2


@contextlib.contextmanager
def docker_engine(folder: Path) -> Iterator[None]:
    """Have an engine answer while the block runs; one that was started here ends with it."""
    process = None
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if os.getuid() == 0 and program and not os.environ.get("DOCKER_HOST") and not engine().ok:
        for _ in range(ATTEMPTS):
            process = _start(program, folder)
            if process:
                break
        else:
            _say(f"dockerd does not start, see {folder / 'dockerd.log'}")
    try:
        yield
    finally:
        if process:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _start(program: str, folder: Path) -> subprocess.Popen[bytes] | None:
    _say("starting a Docker Engine for the tests")
    with (folder / "dockerd.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "--pidfile", str(folder / "dockerd.pid")],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},  # iptables is there
        )
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        if engine().ok:
            return process
        time.sleep(0.2)
    process.kill()
    process.wait()
    return None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201

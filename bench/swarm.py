"""A Docker Engine of a bench's own that is a swarm of one: the machine's own engine joins no swarm."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_S = 60.0
NAME = "compared"
# A network namespace of its own has no way out and needs none; the process namespace ends whatever is left in it.
APART = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
BEGIN = (
    "ip link set lo up && exec dockerd --data-root {0}/data --exec-root {0}/exec --pidfile {0}/pid --host {1}"
)


class Swarm:
    """An engine in a network of its own, and a swarm on it; it goes with the context."""

    def __init__(self) -> None:
        # Sockets' paths must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="dms-swarm-", dir="/tmp"))  # noqa: S108
        self.address = f"unix://{self.folder}/s"

    def docker(self, *words: str, patience_s: float = 120.0) -> str:
        """Run the docker command against this engine."""
        return subprocess.run(
            ["docker", "--host", self.address, *words],
            check=True,
            capture_output=True,
            text=True,
            timeout=patience_s,
        ).stdout

    def service(self, count: int, image: str, command: list[str], *, cpu: float, ram: str) -> float:
        """Return how long a service of `count` replicas in a network of its own takes until all of them run.

        `cpu`: cores; `ram`: as 64m.
        """
        begun = time.perf_counter()
        self.docker("network", "create", "--driver", "overlay", NAME)
        limits = (
            "--limit-cpu",
            str(cpu),
            "--limit-memory",
            ram,
            "--restart-condition",
            "none",
            "--network",
            NAME,
        )
        words = ("--replicas", str(count), "--no-resolve-image", "--detach", "--name", NAME, *limits)
        self.docker("service", "create", *words, image, *command)
        wanted = f"{count}/{count}"
        while self.docker("service", "ls", "--format", "{{.Replicas}}").strip() != wanted:
            if time.perf_counter() - begun > 600:
                raise TimeoutError("the swarm does not get there")
            time.sleep(0.1)
        took = time.perf_counter() - begun
        self.docker("service", "rm", NAME)
        while self.docker("ps", "--all", "--quiet"):
            time.sleep(0.5)
        self.docker("network", "rm", NAME)
        return took

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*APART, "sh", "-c", BEGIN.format(self.folder, self.address)],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            )
        try:
            self._ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _ready(self) -> None:
        limit = time.monotonic() + START_S
        while True:
            try:
                self.docker("version", patience_s=10)
                break
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                if time.monotonic() > limit or self.process.poll() is not None:
                    text = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"the swarm's engine does not start: {text}") from None
                time.sleep(0.2)
        self.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", place], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

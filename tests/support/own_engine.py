"""A Docker Engine of a test's own, in a network namespace of its own: it may be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.support.require import require
from tests.support.services import wait_for

START_S = 60.0


@dataclass
class OwnEngine:
    """The daemon and where its files are."""

    folder: Path
    live_restore: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What DOCKER_HOST must say."""
        return f"unix://{self.folder}/engine.sock"

    def start(self) -> None:
        """Start the daemon and wait until it answers; a start beside an old containerd may need a second try."""
        for attempt in (1, 2, 3):
            with (self.folder / "engine.log").open("ab") as log:
                self.process = subprocess.Popen(
                    [
                        "unshare",
                        "--net",
                        "dockerd",
                        *("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"),
                        *("--pidfile", f"{self.folder}/engine.pid", "--host", self.address),
                        *(("--live-restore",) if self.live_restore else ()),
                    ],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
                )
            if wait_for(lambda: self.answers() or self.process_ended(), timeout_s=START_S, what="the engine"):
                if self.answers():
                    return
                assert attempt < 3, (self.folder / "engine.log").read_text()[-3000:]

    def answers(self) -> bool:
        """Say whether the daemon answers."""
        try:
            client = docker.DockerClient(base_url=self.address, timeout=5)
            try:
                return bool(client.ping())
            finally:
                client.close()
        except DockerException:
            return False

    def process_ended(self) -> bool:
        """Say whether the daemon has given up."""
        return self.process is None or self.process.poll() is not None

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon by a signal and wait for it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None


@contextmanager
def own_engine(folder: Path, *, live_restore: bool = False) -> Iterator[OwnEngine]:
    """Give a running engine; it, its containers and its files are gone afterwards."""
    require("docker")
    require("root")
    engine = OwnEngine(folder, live_restore)
    engine.start()
    try:
        yield engine
    finally:
        if engine.answers():
            client = docker.DockerClient(base_url=engine.address, timeout=30)
            for container in client.containers.list(all=True):
                container.remove(force=True, v=True)
            client.close()
        engine.end()
        _end_containerd(folder)
        for mounted in _mounts(folder):
            subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _end_containerd(folder: Path) -> None:
    """End the engine's own containerd where a killed engine has left it."""
    try:
        os.kill(int((folder / "exec" / "containerd" / "containerd.pid").read_text()), signal.SIGTERM)
    except (OSError, ValueError):
        return


def _mounts(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return sorted(
        (line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")), reverse=True
    )

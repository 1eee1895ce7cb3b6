"""The distribution's packages that tests need: as root on Debian the missing ones are installed, else nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# A program (looked for on PATH and in the administrator's folders) or a file: the packages that bring it.
WANTED = {
    "dockerd": ("docker.io", "iptables"),
    "iptables": ("iptables",),
    "bwrap": ("bubblewrap",),
    "unshare": ("util-linux",),
    "redis-server": ("redis-server",),
    "chromium": ("chromium", "fonts-liberation"),
    "go": ("golang-go",),
    "docker-registry": ("docker-registry",),
    "/usr/lib/postgresql/*/bin/initdb": ("postgresql",),
    "/bin/busybox": ("busybox-static",),
    "ip": ("iproute2",),
}
SERVICES = ("docker", "redis-server", "postgresql", "docker-registry")
POLICY = Path("/usr/sbin/policy-rc.d")
CLUSTER = Path("/etc/postgresql-common/createcluster.conf")


def missing() -> list[str]:
    """Return the packages whose programs this machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    names: list[str] = []
    for wanted, packages in WANTED.items():
        found = any(Path("/").glob(wanted[1:])) if wanted.startswith("/") else shutil.which(wanted, path=path)
        if not found:
            names += [name for name in packages if name not in names]
    return names


def install() -> None:
    """Install what is missing; what cannot be installed is left to the tests, which say what they miss."""
    names = missing()
    if not names:
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        _say(f"not installed on this machine: {', '.join(names)} (tests that need them are skipped)")
        return
    _say(f"installing {', '.join(names)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _services_stay_off():
        _run(["apt-get", "update", "-qq"], environment)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        if not _run([*command, *names], environment):
            for name in names:  # one that cannot be had must not keep the others away
                _run([*command, name], environment)


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    """No service starts or stays enabled because tests needed its program; no default PostgreSQL cluster."""
    made = []
    for path, text, mode in (
        (POLICY, "#!/bin/sh\nexit 101\n", 0o755),
        (CLUSTER, "create_main_cluster = false\n", 0o644),
    ):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(mode)
            made.append(path)
    before = {name for name in SERVICES if _enabled(name)}
    try:
        yield
    finally:
        if POLICY in made:
            POLICY.unlink()
        for name in SERVICES:
            if name not in before and _enabled(name):
                subprocess.run(["systemctl", "disable", name], capture_output=True, check=False)


def _enabled(name: str) -> bool:
    if not shutil.which("systemctl"):
        return False
    done = subprocess.run(["systemctl", "is-enabled", name], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "enabled"


def _run(command: list[str], environment: dict[str, str]) -> bool:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-2:]
        _say(f"{' '.join(command[:2])} failed: {' '.join(words)}")
    return done.returncode == 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201

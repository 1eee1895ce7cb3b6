"""What a test needs of the machine: skipped with the reason, or failed under DMS_REQUIRE=all."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What no test machine must have: listed as missing, never a failure.
EXCEPTIONS = frozenset({"gpu", "kvm", "firecracker", "wallet", "shared"})


class Missing(Exception):
    """The machine lacks something; the text says what and how to get it."""


def require(name: str) -> str:
    """Return where `name` is (a path, a URL, a version), or end the test with the reason."""
    try:
        return _found(name)
    except Missing as error:
        reason = f"{name}: {error}"
    if os.environ.get("DMS_REQUIRE") == "all" and name not in EXCEPTIONS:
        pytest.fail(f"required and missing: {reason}", pytrace=False)
    pytest.skip(reason)


def has(name: str) -> bool:
    """Say whether the machine has `name`."""
    try:
        _found(name)
    except Missing:
        return False
    return True


@functools.cache
def _found(name: str) -> str:
    return CHECKS[name]()


def _program(*names: str, package: str) -> Callable[[], str]:
    def check() -> str:
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        for name in names:
            found = shutil.which(name, path=path)
            if found:
                return found
        raise Missing(f"{' or '.join(names)} is not installed (Debian: apt-get install {package})")

    return check


def _docker() -> str:
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=10)
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except (DockerException, OSError) as error:
        raise Missing(f"no Docker Engine answers ({error})") from None


def _postgres() -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return str(versions[0]) if versions else _program("initdb", package="postgresql")()


def _user_namespaces() -> str:
    unshare = _program("unshare", package="util-linux")()
    done = subprocess.run(
        [unshare, "--user", "--map-root-user", "true"], capture_output=True, text=True, timeout=10
    )
    if done.returncode:
        raise Missing(f"user namespaces are refused ({done.stderr.strip()})")
    return unshare


def _bwrap() -> str:
    program = _program("bwrap", package="bubblewrap")()
    command = [program, "--unshare-all", "--ro-bind", "/", "/", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise Missing(f"bubblewrap cannot make a sandbox ({done.stderr.strip()})")
    return program


def _root() -> str:
    if os.getuid() != 0:
        raise Missing("the tests do not run as root")
    return "0"


def _cgroup() -> str:
    from dmsweb.launch.doctor.sandbox import memory_group

    folder = memory_group()
    if folder is None:
        raise Missing("no cgroup with a memory limit can be made")
    return str(folder)


def _assets() -> str:
    found = ROOT / "static" / "vendor" / "icons.svg"
    if not found.exists():
        raise Missing("browser libraries are not installed (./dms installs them)")
    return str(found.parent)


def _axe() -> str:
    found = ROOT / "node_modules" / "axe-core" / "axe.min.js"
    if not found.exists():
        raise Missing("axe-core is not installed (./dms test installs it)")
    return str(found)


def _gpu() -> str:
    if not Path("/dev/nvidiactl").exists():
        raise Missing("no NVIDIA driver on this machine")
    return "/dev/nvidiactl"


def _shared() -> str:
    folder = Path(os.environ.get("DMS_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        raise Missing(f"{folder} does not exist (set DMS_SHARED)")
    return str(folder)


def _never(why: str) -> Callable[[], str]:
    def check() -> str:
        raise Missing(why)

    return check


CHECKS: dict[str, Callable[[], str]] = {
    "docker": _docker,
    "postgres": _postgres,
    "pg_dump": _program("pg_dump", package="postgresql-client"),
    "redis": _program("redis-server", "valkey-server", package="redis-server"),
    "chromium": _program("chromium", "chromium-browser", "google-chrome", package="chromium"),
    "go": _program("go", package="golang-go"),
    "bwrap": _bwrap,
    "userns": _user_namespaces,
    "registry": _program("docker-registry", package="docker-registry"),
    "busybox": _program("busybox", package="busybox-static"),
    "ip": _program("ip", package="iproute2"),
    "root": _root,
    "cgroup": _cgroup,
    "assets": _assets,
    "axe": _axe,
    "gpu": _gpu,
    "shared": _shared,
    "kvm": _never("guests are not started by this version"),
    "firecracker": _never("not reachable on test machines"),
    "wallet": _never("needs a person with a hardware wallet"),
}

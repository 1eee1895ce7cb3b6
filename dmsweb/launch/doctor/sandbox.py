"""What the process executor needs: user namespaces, bubblewrap or unshare, a cgroup that limits memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dmsweb.launch.doctor.check import Check, tried

COST = "commands cannot run without Docker: the process executor refuses to run them unconfined"
UNSHARE = "--user --map-root-user --mount --pid --net --ipc --uts --fork --mount-proc true"
TREE = Path("/sys/fs/cgroup")
SWITCHES = {
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
}


def user_namespaces() -> Check:
    """Whether this user may make user namespaces."""
    said = tried(["unshare", "--user", "--map-root-user", "true"])
    if said is None:
        return Check("user_namespaces", True, "allowed")
    hint = (
        "allow user namespaces on this machine" if shutil.which("unshare") else "apt-get install util-linux"
    )
    return Check("user_namespaces", False, said, COST, _switch() or hint)


def sandbox() -> Check:
    """Whether a full sandbox starts, and whether its memory can be limited."""
    program = shutil.which("bwrap")
    how, said = "bubblewrap", "bubblewrap is not installed"
    if program:
        said = tried([program, "--unshare-all", "--ro-bind", "/", "/", "true"]) or ""
    if said:
        how = "unshare"
        worse = tried(["unshare", *UNSHARE.split()])
        if worse:
            return Check("sandbox", False, f"{said}; {worse}", COST, "apt-get install bubblewrap")
    group = memory_group()
    if group is None:
        hint = "run the site as root, or in a unit with Delegate=yes (cgroup v2)"
        return Check("sandbox", False, f"{how} works, but no memory cgroup can be made", COST, hint)
    return Check("sandbox", True, f"{how}, memory limited below {group}")


def memory_group() -> Path | None:
    """Return the cgroup below which this user can make one with a memory limit (version 2, or the memory
    hierarchy of version 1)."""
    own = dict(_own_groups())
    candidates = [TREE / own.get("", ""), TREE, TREE / "memory" / own.get("memory", ""), TREE / "memory"]
    for folder in candidates:
        try:
            second = (folder / "cgroup.controllers").exists()
            able = not second or "memory" in (folder / "cgroup.controllers").read_text().split()
        except OSError:
            continue
        first = (folder / "memory.limit_in_bytes").exists()
        if (first or (second and able)) and os.access(folder, os.W_OK):
            return folder
    return None


def _own_groups() -> Iterator[tuple[str, str]]:
    """Yield (controllers, path) of this process: no controllers for version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        yield controllers, path.lstrip("/")


def _switch() -> str:
    for path, (bad, hint) in SWITCHES.items():
        try:
            if Path(path).read_text().strip() == bad:
                return hint
        except OSError:
            continue
    return ""

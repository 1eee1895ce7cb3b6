"""The way into the sandbox: from the shim's fork to the sandbox program, losing every right on the way.

Imported by file name by the shim's child under a bare interpreter. As root it first collects the folders that the
sandbox will see on a private tmpfs, because the unprivileged id that it becomes cannot reach them below a home.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Any, NoReturn

STAGE = "/tmp/dms"  # noqa: S108 - in a mount namespace of its own, on a tmpfs of its own
REPORT = 3

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 0x1000, 0x4000, 0x40000, 2, 4
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
_KEYCTL_JOIN_SESSION_KEYRING = 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def enter(request: dict[str, Any], handles: list[int]) -> NoReturn:
    """Become the sandbox program that `request` describes; `handles`: stdout, stderr and the report's pipe."""
    step = "preparing the sandbox"
    report = handles[2]
    try:
        for handle, number in zip(handles, (1, 2, REPORT), strict=True):
            if handle != number:
                os.dup2(handle, number)
            os.set_inheritable(number, True)
        report = REPORT
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)
        step = "joining the control group"
        for path in request["join"]:
            with open(path, "w") as file:  # noqa: PTH123
                file.write("0")
        _limit(request)
        libc = ctypes.CDLL(None, use_errno=True)
        if request["stage"]:
            step = "collecting the folders"
            _collect(libc, request["stage"])
        step = "giving up rights"
        if request["ids"]:
            uid, gid = request["ids"]
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        if keyctl := _KEYCTL.get(os.uname().machine):
            # A fresh keyring: the worker's must not be inherited. A kernel without keyrings has nothing to hide.
            libc.syscall(keyctl, _KEYCTL_JOIN_SESSION_KEYRING, None)
        _call(libc, libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _call(libc, libc.prctl, _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        os.umask(0o022)
        os.chdir("/")
        os.closerange(REPORT + 1, 256)
        step = "starting the sandbox"
        os.write(report, b"setting up the sandbox\n")
        os.execve(request["argv"][0], request["argv"], request["environment"])  # noqa: S606
    except Exception as error:  # noqa: BLE001 - whatever it was, the reason must reach the status
        os.write(2, f"{step}: {error}\n".encode())
        os.write(report, f"{step}\n".encode())
    os._exit(125)


def _limit(request: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if size := request["limits"]["disk_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if cpus := request["cpus"]:
        os.sched_setaffinity(0, cpus)


def _collect(libc: ctypes.CDLL, stage: list[list[str]]) -> None:
    """Bind each [source, name] to STAGE/name, on a tmpfs that hides /tmp in a mount namespace of its own.

    Without a source the name is an empty folder.
    """
    _call(libc, libc.unshare, _CLONE_NEWNS)
    _call(libc, libc.mount, b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    # Opened before /tmp is hidden: sources may lie below it.
    opened = [os.open(source or "/", os.O_PATH | os.O_NOFOLLOW) for source, _ in stage]
    _call(libc, libc.mount, b"tmpfs", b"/tmp", b"tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=755,size=1m")  # noqa: S108
    os.mkdir(STAGE, 0o755)  # noqa: PTH102
    for handle, (source, name) in zip(opened, stage, strict=True):
        target = f"{STAGE}/{name}"
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112
            os.mkdir(target, 0o755)  # noqa: PTH102
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        if source:
            origin = f"/proc/self/fd/{handle}".encode()
            _call(libc, libc.mount, origin, target.encode(), None, _MS_BIND | _MS_REC, None)
        os.close(handle)


def _call(libc: ctypes.CDLL, function: Any, *arguments: Any) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

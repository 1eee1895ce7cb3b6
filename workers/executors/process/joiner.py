"""Goes into a running sandbox and runs one command there, confined as the workload is: a terminal's helper.

Run as a file by a bare interpreter (standard library only, `-I -S`). Argument: the number of a socket. On it come
one line of JSON, the request, and later lines {"signal": number}; back goes one line, {"ready": true} with the
terminal's master beside it, or {"error": ...}. When the other side closes the socket, or dies, everything in the
command's session is ended. The exit code is the command's (128 + signal when it was killed).

On the way in nothing of the outside may be reached from inside: the memory of this process is closed to others
(it is not dumpable), and every descriptor but the command's own is closed before the command begins.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import termios
import time
from typing import Any, NoReturn

INNER_ID = 65_534
HANG_UP_S = 1.0
END_S = 5.0
NAMESPACES = ("cgroup", "ipc", "uts", "net", "pid", "mnt")

_NS_GET_USERNS, _TIOCSPTLCK, _TIOCGPTN = 0xB701, 0x40045431, 0x80045430
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CAPABILITIES = 64
libc = ctypes.CDLL(None, use_errno=True)


def call(function: Any, *arguments: Any) -> None:
    """Call into the C library; OSError when that fails."""
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter(pid: int) -> None:
    """Enter the namespaces of the sandbox's first process; its processes id namespace holds for children only.

    First the user namespace that owns the others, which gives the right to enter them; last the process's own.
    """
    folder = f"/proc/{pid}/ns"
    handles = {name: os.open(f"{folder}/{name}", os.O_RDONLY) for name in NAMESPACES if _differs(pid, name)}
    own = os.open(f"{folder}/user", os.O_RDONLY) if _differs(pid, "user") else -1
    if "mnt" in handles:
        owner = fcntl.ioctl(handles["mnt"], _NS_GET_USERNS)
        if os.fstat(owner).st_ino != os.stat("/proc/self/ns/user").st_ino:  # noqa: PTH116
            call(libc.setns, owner, 0)
    for name in NAMESPACES:
        if name in handles:
            call(libc.setns, handles[name], 0)
    # After the mounts are the sandbox's, so are its /proc and our own entry in it.
    if own >= 0 and os.fstat(own).st_ino != os.fstat(owner).st_ino:
        call(libc.setns, own, 0)


def _differs(pid: int, name: str) -> bool:
    theirs, ours = (os.stat(f"/proc/{who}/ns/{name}").st_ino for who in (pid, "self"))  # noqa: PTH116
    return theirs != ours


def limit(request: dict[str, Any]) -> None:
    """Take on the limits that the workload has."""
    for path in request["join"]:
        with open(path, "w") as file:  # noqa: PTH123
            file.write("0")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if size := request["disk_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if cpus := request["cpus"]:
        os.sched_setaffinity(0, cpus)


def terminal(rows: int, columns: int) -> tuple[int, str]:
    """Return the master of a new terminal of the sandbox's own, and the name of its other side."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, b"\0" * 4))[0]
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return master, f"/dev/pts/{number}"


def become(request: dict[str, Any], slave: str) -> NoReturn:
    """Become the command, in a session of its own."""
    try:
        os.setsid()
        if slave:
            handle = os.open(slave, os.O_RDWR)
            fcntl.ioctl(handle, termios.TIOCSCTTY, 0)
            for number in (0, 1, 2):
                os.dup2(handle, number)
        call(libc.prctl, _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        call(libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for number in range(_CAPABILITIES):
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
        for name in (
            signal.SIGINT,
            signal.SIGQUIT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):
            signal.signal(name, signal.SIG_DFL)
        os.umask(0o022)
        os.closerange(3, 4096)
        try:
            os.chdir(request["directory"])
        except OSError:
            os.chdir("/")
        os.execvpe(request["argv"][0], request["argv"], request["environment"])  # noqa: S606
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{request['argv'][0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(126)


def members(proc: int, leader: int) -> list[int]:
    """Return the processes of a session; `proc` is the outside's /proc, opened before it was left behind."""
    found = []
    for name in os.listdir(proc):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError):
                handle = os.open(f"{name}/stat", os.O_RDONLY, dir_fd=proc)
                try:
                    fields = os.read(handle, 4096).decode(errors="replace").rpartition(")")[2].split()
                finally:
                    os.close(handle)
                if fields[0] not in "ZX" and int(fields[3]) == leader:
                    found.append(int(name))
    return found


def send(proc: int, leader: int, number: int) -> None:
    """Signal every process of the session."""
    for pid in members(proc, leader):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end(proc: int, leader: int) -> None:
    """Hang up, and kill what is still there a moment later."""
    began = time.monotonic()
    send(proc, leader, signal.SIGHUP)
    while members(proc, leader) and time.monotonic() - began < END_S:
        if time.monotonic() - began > HANG_UP_S:
            send(proc, leader, signal.SIGKILL)
        time.sleep(0.02)


def attend(control: socket.socket, proc: int, child: int) -> int:
    """Wait for the command, pass signals on, end the session when the other side has gone; its wait status."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(ended, select.POLLIN)
    held = b""
    while True:
        ready = {handle for handle, _ in poll.poll()}
        if ended in ready:
            return os.waitpid(child, 0)[1]
        chunk = control.recv(4096)
        if not chunk:
            end(proc, child)
            return os.waitpid(child, 0)[1]
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            send(proc, child, int(json.loads(line)["signal"]))


def main(number: int) -> int:
    """Do what the request on the socket says; return the exit code."""
    control = socket.socket(fileno=number)
    control.set_inheritable(False)
    for name in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(name, signal.SIG_IGN)
    step = "reading the request"
    try:
        received = b""
        while not received.endswith(b"\n"):
            chunk = control.recv(65_536)
            if not chunk:
                return 125
            received += chunk
        request = json.loads(received)
        step = "closing itself to others"
        call(libc.prctl, _PR_SET_DUMPABLE, 0, 0, 0, 0)
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        step = "joining the control group"
        limit(request)
        step = "entering the sandbox"
        if os.geteuid() == 0:
            os.setgroups([])
        if keyctl := _KEYCTL.get(os.uname().machine):
            libc.syscall(keyctl, 1, None)
        enter(request["pid"])
        step = "giving up rights"
        os.setresgid(INNER_ID, INNER_ID, INNER_ID)
        os.setresuid(INNER_ID, INNER_ID, INNER_ID)
        # Changing ids may have opened it again.
        call(libc.prctl, _PR_SET_DUMPABLE, 0, 0, 0, 0)
        step = "opening a terminal"
        master, slave = terminal(request["rows"], request["columns"]) if request["tty"] else (-1, "")
        child = os.fork()
        if child == 0:
            become(request, slave)
        socket.send_fds(control, [b'{"ready": true}\n'], [master] if request["tty"] else [])
        if request["tty"]:
            os.close(master)
        for handle in (0, 1, 2):
            os.close(handle)
        status = os.waitstatus_to_exitcode(attend(control, proc, child))
        return status if status >= 0 else 128 - status
    except Exception as error:  # noqa: BLE001 - whatever it was, the reason must reach the other side
        with contextlib.suppress(OSError):
            control.sendall(json.dumps({"error": f"{step}: {error}"}).encode() + b"\n")
        return 125


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1])))

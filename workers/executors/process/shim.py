"""Parent of one sandbox, detached from the worker: outlives its restarts, keeps the logs, writes how it ended.

Run as a file by a bare interpreter (standard library only, `-I -S`), so that it stays small; the executor imports
the few functions both need. Argument: the execution's folder, which holds `request.json`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

READ_BYTES = 65_536
MARK_NS = 100_000_000
PIDS_DETAIL = "reached the limit of {limit} processes, {times} further ones were refused"


def start_ticks(pid: int) -> str:
    """Return when the process started, in ticks since boot; empty when there is none or only its zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def boot_id() -> str:
    """Return the id of this boot: start ticks mean nothing in another one."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
        return file.read().strip()


def write_json(path: str, document: dict[str, object]) -> None:
    """Write a document whole or not at all."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(document, file)
    os.replace(temporary, path)  # noqa: PTH105


def read_json(path: str) -> dict[str, object]:
    """Return a document; empty when there is none."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            document = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def read_count(path: str, key: str) -> int:
    """Return the number behind `key` in a control group's event file; 0 when it cannot be read."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            for line in file:
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
    except (OSError, ValueError):
        pass
    return 0


def processes(path: str) -> list[int]:
    """Return the pids in a control group's `cgroup.procs`."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return [int(line) for line in file]
    except OSError:
        return []


def kill_all(path: str, within_s: float = 5.0) -> bool:
    """Kill every process of a control group, again and again until none is left; False when some stay."""
    deadline = time.monotonic() + within_s
    while pids := processes(path):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def disk_used(folder: str, group: str = "") -> int:
    """Return the bytes that a folder occupies, an inode counting at least 4096, with deleted but open files.

    `group` is the `cgroup.procs` of the processes whose open files count. Links are never followed.
    """
    total, seen = 0, set()
    for _, folders, files, handle in os.fwalk(folder, onerror=None):
        for name in (*folders, *files):
            try:
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
            except OSError:
                continue
            if found.st_nlink > 1 and (found.st_mode & 0o170000) != 0o040000:
                if found.st_ino in seen:
                    continue
                seen.add(found.st_ino)
            total += max(found.st_blocks * 512, 4096)
    try:
        device = os.stat(folder).st_dev  # noqa: PTH116
    except OSError:
        return 0
    for pid in processes(group) if group else ():
        try:
            handles = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208
        except OSError:
            continue
        for number in handles:
            try:
                found = os.stat(f"/proc/{pid}/fd/{number}")  # noqa: PTH116
            except OSError:
                continue
            if found.st_nlink == 0 and found.st_dev == device and found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_blocks * 512
    return total


class Log:
    """One stream in a file of bounded size: at half of the bound it becomes `<name>.1`, replacing the older one.

    Beside `stdout.log` lie its marks, `stdout.times`: pairs of numbers of 8 bytes, little-endian. The first pair is
    (bytes written to the files before this one, 0), each further one (offset, nanoseconds since the epoch at which
    the byte there was read). A mark is made when the other stream has written in between, and ten times a second.
    """

    def __init__(self, path: str, limit_bytes: int) -> None:
        self.path = path
        self.half = max(limit_bytes // 2, READ_BYTES)
        self.before = 0
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self.file = os.open(self.path, flags, 0o600)
        self.marks = os.open(times_of(self.path), flags, 0o600)
        self.size = os.fstat(self.file).st_size
        self.spent = self.size + os.fstat(self.marks).st_size
        self.marked_ns = 0
        if self.spent == self.size:
            self.spent += os.write(self.marks, pair(self.before, 0))

    def write(self, chunk: bytes, at_ns: int, switched: bool = False) -> None:
        """Append; what a full disk does not take is lost, the workload is never held up."""
        try:
            if self.spent + len(chunk) > self.half:
                self._turn()
            if switched or at_ns - self.marked_ns >= MARK_NS:
                self.spent += os.write(self.marks, pair(self.size, at_ns))
                self.marked_ns = at_ns
            written = os.write(self.file, chunk)
            self.size += written
            self.spent += written
        except OSError:
            return

    def _turn(self) -> None:
        self.before += self.size
        os.replace(times_of(self.path), times_of(f"{self.path}.1"))  # noqa: PTH105
        os.replace(self.path, f"{self.path}.1")  # noqa: PTH105
        self.close()
        self._open()

    def close(self) -> None:
        """Give the files back."""
        os.close(self.file)
        os.close(self.marks)


def times_of(path: str) -> str:
    """Return where the marks of a log are: `stdout.times` for `stdout.log`, `stdout.times.1` for `stdout.log.1`."""
    head, _, tail = path.rpartition(".log")
    return f"{head}.times{tail}"


def pair(first: int, second: int) -> bytes:
    """Return one mark as it is kept."""
    return first.to_bytes(8, "little") + second.to_bytes(8, "little")


class Shim:
    """Waits for one sandbox."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.request = read_json(f"{folder}/request.json")
        self.limits: dict[str, int] = self.request["limits"]  # type: ignore[assignment]
        self.groups: dict[str, str] = self.request["groups"]  # type: ignore[assignment]
        self.status: dict[str, object] = {
            "state": "starting",
            "pid": os.getpid(),
            "ticks": start_ticks(os.getpid()),
            "boot_id": boot_id(),
            "started_at": time.time(),
        }
        self.stage = "setting up the sandbox"
        self.refused_forks = 0
        self.cause, self.detail = "", ""

    def save(self) -> None:
        """Write the status where the executor looks for it."""
        write_json(f"{self.folder}/status.json", self.status)

    def run(self, child: int, out: int, err: int, report: int) -> None:
        """Pump the logs and watch the limits until the sandbox has ended; then write how."""
        logs = {
            stream: Log(f"{self.folder}/{name}.log", self.limits["log_bytes"])
            for stream, name in ((out, "stdout"), (err, "stderr"))
        }
        ended = os.pidfd_open(child)
        poll = select.poll()
        for handle in (out, err, report, ended):
            poll.register(handle, select.POLLIN)
        open_streams, check_s = {out, err}, self.limits["check_ms"] / 1000
        next_check, last = time.monotonic() + check_s, 0.0
        wrote = -1
        while open_streams and not (last and time.monotonic() > last):
            timeout = max(0.0, (last or next_check) - time.monotonic())
            for handle, _ in poll.poll(timeout * 1000 + 1):
                if handle == ended:
                    # What is left in the pipes is read, but nobody can hold them open for long.
                    poll.unregister(ended)
                    last = time.monotonic() + 2.0
                    kill_all(self.groups["procs"])
                elif chunk := os.read(handle, READ_BYTES):
                    if handle == report:
                        self.reported(chunk.decode(errors="replace"))
                    else:
                        logs[handle].write(chunk, time.time_ns(), switched=handle != wrote)
                        wrote = handle
                else:
                    poll.unregister(handle)
                    open_streams.discard(handle)
            if not last and time.monotonic() >= next_check:
                began = time.monotonic()
                self.check()
                now = time.monotonic()
                next_check = now + max(check_s, 20 * (now - began))
        _, wait_status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(wait_status)
        self.end(code if code >= 0 else 128 - code)

    def reported(self, text: str) -> None:
        """Take what the start of the sandbox says: each line names a step, `running` the last of them."""
        for line in text.splitlines():
            if line == "running":
                self.stage = ""
                self.status["state"] = "running"
                self.save()
            else:
                self.stage = line

    def check(self) -> None:
        """Kill the sandbox when it fills the disk or does nothing but fork."""
        limit = self.limits["disk_bytes"]
        refused = read_count(self.groups["pids_events"], "max")
        if limit and (used := disk_used(f"{self.folder}/work", self.groups["procs"])) > limit:
            self.kill("disk_limit", f"wrote {used} bytes, {limit} were granted")
        elif refused - self.refused_forks > self.limits["refused_forks"]:
            self.kill("pids_limit", PIDS_DETAIL.format(limit=self.limits["pids"], times=refused))
        self.refused_forks = refused

    def kill(self, cause: str, detail: str) -> None:
        """End it and remember why."""
        self.cause, self.detail = cause, detail
        kill_all(self.groups["procs"])

    def end(self, code: int) -> None:
        """Find the cause of the end and write the last status."""
        wanted = read_json(f"{self.folder}/wanted.json")
        out_of_memory = read_count(self.groups["oom_events"], "oom_kill")
        refused = read_count(self.groups["pids_events"], "max")
        limit = self.limits["disk_bytes"]
        cause, detail = "completed", ""
        if self.cause:
            cause, detail = self.cause, self.detail
        elif wanted:
            cause, detail = str(wanted["cause"]), str(wanted["detail"])
        elif code == 0 and not self.stage:
            pass
        elif out_of_memory:
            cause, detail = "oom_killed", f"needed more memory than its {self.limits['ram_bytes']} bytes"
        elif limit and (
            code == 128 + signal.SIGXFSZ or disk_used(f"{self.folder}/work", self.groups["procs"]) >= limit
        ):
            cause, detail = "disk_limit", f"filled the {limit} bytes of disk that were granted"
        elif refused:
            cause = "pids_limit"
            detail = f"exit code {code}; " + PIDS_DETAIL.format(limit=self.limits["pids"], times=refused)
        elif self.stage:
            cause, detail = "start_failed", f"{self.stage} (exit code {code}): {self.last_words()}"
        elif code == 128 + signal.SIGKILL:
            cause, detail = "killed", "killed by signal 9"
        else:
            cause, detail = "exit_code", f"exit code {code}"
        self.status |= {"state": "exited", "exit_code": code, "cause": cause, "detail": detail}
        self.status["ended_at"] = time.time()
        self.save()

    def last_words(self) -> str:
        """Return the last line of the error log."""
        with open(f"{self.folder}/stderr.log", "rb") as file:  # noqa: PTH123
            lines = file.read(READ_BYTES).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"


def detach(folder: str) -> None:
    """Fork away from the worker, start the sandbox and stay with it; the first process returns."""
    ready, told = os.pipe()
    if os.fork():
        os.close(told)
        os.read(ready, 1)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    shim = Shim(folder)
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    pipes = [os.pipe() for _ in range(3)]
    child = os.fork()
    if child == 0:
        # Imported here alone, so that the part that stays does not carry it.
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
        import entry  # type: ignore[import-not-found]

        entry.enter(shim.request, [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    shim.save()
    os.write(told, b"1")
    os.close(told)
    shim.run(child, *(read for read, _ in pipes))


if __name__ == "__main__":
    detach(sys.argv[1])

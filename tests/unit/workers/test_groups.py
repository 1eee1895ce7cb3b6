"""Figures from control groups, read from trees as the kernel writes them: version 1 and version 2."""

from __future__ import annotations

from pathlib import Path

from workers.executors import groups

MARK = "c0ffee"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def process(proc: Path, pid: int, lines: str, **files: str) -> None:
    write(proc / str(pid) / "cgroup", lines)
    for name, text in files.items():
        write(proc / str(pid) / name, text)


def legacy(tmp_path: Path) -> tuple[groups.Mounts, Path]:
    names = ("cpuacct", "memory", "blkio", "pids")
    places = {name: tmp_path / "cg" / name for name in names}
    inner = {name: place / "docker" / MARK for name, place in places.items()}
    write(inner["cpuacct"] / "cpuacct.usage", "1500000000\n")
    write(inner["memory"] / "cgroup.procs", "7\n8\n")
    write(inner["memory"] / "memory.usage_in_bytes", "1000\n")
    write(inner["memory"] / "memory.stat", "inactive_file 1\ntotal_inactive_file 300\n")
    write(inner["memory"] / "memory.limit_in_bytes", "4096\n")
    write(
        inner["blkio"] / "blkio.throttle.io_service_bytes_recursive",
        "8:0 Read 10\n8:0 Write 20\n8:16 Read 5\n8:16 Write 6\nTotal 41\n",
    )
    write(inner["pids"] / "pids.current", "3\n")
    proc = tmp_path / "proc"
    lines = "".join(f"{number}:{name}:/docker/{MARK}/below\n" for number, name in enumerate(names))
    process(proc, 7, lines, io="rchar: 1\nread_bytes: 4\nwrite_bytes: 500\n")
    process(proc, 8, lines, io="rchar: 1\nread_bytes: 5\nwrite_bytes: 400\n")
    return groups.Mounts(places, None), proc


def test_version_1(tmp_path: Path) -> None:
    where, proc = legacy(tmp_path)
    folders = groups.folders_of(7, MARK, where, proc)
    assert folders is not None
    told = groups.stats(folders, proc)
    assert told is not None
    assert (told.cpu_ns, told.ram_used_bytes, told.ram_limit_bytes) == (1_500_000_000, 700, 4096)
    # What went through the page cache is counted by the processes alone; what did not, by the group.
    assert (told.read_bytes, told.written_bytes) == (15, 900)
    assert (told.pids, told.processes) == (3, (7, 8))


def test_version_1_without_a_limit(tmp_path: Path) -> None:
    where, proc = legacy(tmp_path)
    write(where.legacy["memory"] / "docker" / MARK / "memory.limit_in_bytes", "9223372036854771712\n")
    folders = groups.folders_of(7, MARK, where, proc)
    assert folders is not None
    told = groups.stats(folders, proc)
    assert told is not None
    assert told.ram_limit_bytes is None


def test_without_a_group_that_counts_the_processes_tell_their_cpu_time(tmp_path: Path) -> None:
    where, proc = legacy(tmp_path)
    second = groups.TICKS_PER_S
    for pid in (7, 8):
        write(
            proc / str(pid) / "stat",
            f"{pid} (a (b) c) S 1 1 1 0 -1 0 0 0 0 0 {second} {second} 0 {second} 20 0\n",
        )
    folders = groups.folders_of(7, MARK, groups.Mounts({"memory": where.legacy["memory"]}, None), proc)
    assert folders is not None
    told = groups.stats(folders, proc)
    assert told is not None
    assert told.cpu_ns == 6_000_000_000


def test_version_2(tmp_path: Path) -> None:
    root, proc = tmp_path / "cg", tmp_path / "proc"
    folder = root / "system.slice" / f"docker-{MARK}.scope"
    write(folder / "cgroup.procs", "7\n")
    write(folder / "cpu.stat", "usage_usec 2500\nuser_usec 2000\n")
    write(folder / "memory.current", "1000\n")
    write(folder / "memory.stat", "anon 1\ninactive_file 400\n")
    write(folder / "memory.max", "max\n")
    write(
        folder / "io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n"
    )
    write(folder / "pids.current", "1\n")
    process(proc, 7, f"0::/system.slice/docker-{MARK}.scope\n", io="read_bytes: 99\nwrite_bytes: 99\n")
    folders = groups.folders_of(7, MARK, groups.Mounts({}, root), proc)
    assert folders is not None
    told = groups.stats(folders, proc)
    assert told is not None
    assert (told.cpu_ns, told.ram_used_bytes, told.ram_limit_bytes) == (2_500_000, 600, None)
    assert (told.read_bytes, told.written_bytes, told.pids) == (11, 22, 1)


def test_another_process_with_that_pid_is_nobody(tmp_path: Path) -> None:
    where, proc = legacy(tmp_path)
    process(proc, 7, "1:memory:/docker/somebody-else\n")
    assert groups.folders_of(7, MARK, where, proc) is None
    assert groups.folders_of(99, MARK, where, proc) is None


def test_a_group_that_has_just_gone_tells_nothing(tmp_path: Path) -> None:
    where, proc = legacy(tmp_path)
    folders = groups.folders_of(7, MARK, where, proc)
    assert folders is not None
    (where.legacy["memory"] / "docker" / MARK / "cgroup.procs").unlink()
    assert groups.stats(folders, proc) is None


def test_network_without_the_loopback(tmp_path: Path) -> None:
    head = "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
    rows = "    lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n  eth0: 200 2 0 0 0 0 0 0 50 1 0 0 0 0 0 0\n"
    write(tmp_path / "7" / "net" / "dev", head + rows)
    assert groups.network(7, tmp_path) == (200, 50)
    assert groups.network(8, tmp_path) == (None, None)


def test_mounts_of_this_machine_are_found() -> None:
    where = groups.mounts()
    assert where.unified is not None or "memory" in where.legacy

"""Probes of the real machine, and cgroup files of machines that are not here."""

import socket
from pathlib import Path

from node.hardware import HardwareFacts, Usage
from workers.probes import MachineProbe, cgroup, cpu
from workers.probes.ports import port_busy


def test_the_machine_is_measured(tmp_path: Path) -> None:
    probe = MachineProbe(tmp_path / "not" / "yet")
    facts = HardwareFacts.parse(probe.hardware())
    used = Usage.parse(probe.usage())
    assert facts.cpu_centicores > 0
    assert facts.cpu.architectures
    assert 0 < used.ram_used_bytes <= facts.ram_bytes
    assert 0 < used.disk_free_bytes <= facts.disk_bytes
    assert 0 <= used.cpu_percent <= 100
    assert HardwareFacts.parse(facts.document()) == facts
    assert Usage.parse(used.document()) == used


def test_ports_in_use_are_seen_on_any_address_of_either_family() -> None:
    for family, kind, address in (
        (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
        (socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
        (socket.AF_INET6, socket.SOCK_STREAM, "::1"),
    ):
        with socket.socket(family, kind) as taken:
            taken.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            port = taken.getsockname()[1]
            assert port_busy(port), (family, kind)
        assert not port_busy(port)


def group(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_version_2_limits_count_from_every_level(tmp_path: Path) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    proc.write_text("0::/system/job\n")
    group(
        root,
        {
            "system/cpu.max": "150000 100000",
            "system/memory.max": "2147483648",
            "system/memory.current": "1000000000",
            "system/memory.stat": "anon 5\ninactive_file 400000000",
            "system/job/cpu.max": "max 100000",
            "system/job/memory.max": "max",
        },
    )
    assert cgroup.cpu_limit_centicores(root, proc) == 150
    assert cgroup.memory_limit_bytes(root, proc) == 2 << 30
    assert cgroup.memory_used_bytes(root, proc) == 600_000_000


def test_version_1_limits(tmp_path: Path) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    proc.write_text("5:memory:/job\n2:cpu,cpuacct:/job\n0::/\n")
    group(
        root,
        {
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "memory/job/memory.limit_in_bytes": "1073741824",
            "memory/job/memory.usage_in_bytes": "500",
            "cpu/job/cpu.cfs_quota_us": "50000",
            "cpu/job/cpu.cfs_period_us": "100000",
        },
    )
    assert cgroup.memory_limit_bytes(root, proc) == 1 << 30
    assert cgroup.memory_used_bytes(root, proc) == 500


def test_no_limit_is_no_number(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.write_text("0::/\n")
    assert cgroup.cpu_limit_centicores(tmp_path, proc) is None
    assert cgroup.memory_limit_bytes(tmp_path, proc) is None
    assert cgroup.memory_used_bytes(tmp_path, proc) is None


def test_a_machine_that_tells_little_about_its_cpu(tmp_path: Path) -> None:
    traits = cpu.traits(tmp_path / "cpuinfo", tmp_path)
    assert traits.architectures
    assert traits.cache_bytes == 0
    (tmp_path / "cpuinfo").write_text("processor : 0\nCPU implementer : 0x41\nmodel name : Neoverse-N1\n\n")
    arm = cpu.traits(tmp_path / "cpuinfo", tmp_path)
    assert (arm.vendors, arm.models) == (frozenset({"ARM"}), frozenset({"Neoverse-N1"}))

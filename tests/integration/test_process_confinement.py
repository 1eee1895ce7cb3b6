"""What a sandboxed process can see and reach, for both programs that make sandboxes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process_site import Bench, process_bench
from tests.support.require import require
from workers.executors.base import Cause, ExecutorError, Mount, PortBinding
from workers.executors.process import ProcessExecutor
from workers.executors.process.shim import start_ticks


@pytest.fixture(scope="module", params=["bwrap", "unshare"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    require("cgroup")
    require("bwrap" if request.param == "bwrap" else "userns")
    with process_bench(request.param) as made:
        found = made.executor.availability()
        assert found.available, f"{found.detail}; {found.hint}"
        yield made


def test_foreign_processes_are_invisible(bench: Bench) -> None:
    ended, log = bench.finish("sh", "-c", f"ls /proc | grep -c '^[0-9]'; kill -0 {os.getpid()}")
    assert int(log.split()[0]) <= 5
    assert ended.cause is Cause.EXIT_CODE


@pytest.mark.parametrize(
    "path",
    [
        "/root",
        "/home",
        "/etc/shadow",
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/sys",
        "/boot",
        "/var/lib",
    ],
)
def test_host_files_are_not_there(bench: Bench, path: str) -> None:
    ended, _ = bench.finish("ls", path)
    assert (ended.cause, ended.exit_code) == (Cause.EXIT_CODE, 2)


def test_the_home_and_other_sandboxes_are_not_there(bench: Bench) -> None:
    secret = bench.home / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    ended, _ = bench.finish("cat", str(secret))
    assert ended.cause is Cause.EXIT_CODE
    ended, log = bench.finish("sh", "-c", "ls -A /tmp /work /run/dms")
    assert "secret" not in log


def test_nothing_of_the_system_can_be_written(bench: Bench) -> None:
    script = "for place in / /usr /etc /bin /run/dms; do echo x > $place/x && echo wrote $place; done; exit 0"
    _, log = bench.finish("sh", "-c", script)
    assert "wrote" not in log
    ended, _ = bench.finish("sh", "-c", "echo x > /work/x && echo x > /tmp/x && cat /work/x /tmp/x")
    assert ended.cause is Cause.COMPLETED


def test_the_kernels_settings_cannot_be_written(bench: Bench) -> None:
    script = (
        "for name in kernel/core_pattern vm/drop_caches kernel/hostname; do "
        "echo x > /proc/sys/$name && echo wrote; done; echo b > /proc/sysrq-trigger && echo wrote; exit 0"
    )
    assert "wrote" not in bench.finish("sh", "-c", script)[1]


def test_no_right_is_left(bench: Bench) -> None:
    _, log = bench.finish("sh", "-c", "id -u; grep -E '^(CapEff|CapPrm|CapAmb|NoNewPrivs)' /proc/self/status")
    assert log.split() == [
        "65534",
        "CapPrm:",
        "0" * 16,
        "CapEff:",
        "0" * 16,
        "CapAmb:",
        "0" * 16,
        "NoNewPrivs:",
        "1",
    ]
    ended, _ = bench.finish("unshare", "--user", "true")
    assert ended.cause is Cause.EXIT_CODE


def test_outside_it_is_nobody(bench: Bench) -> None:
    require("root")
    started = bench.start("sleep", "60")
    pids = bench.pids(started.execution_id)
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids}
    assert 0 not in owners
    bench.executor.remove(started.execution_id)
    assert not any(start_ticks(pid) for pid in pids)


def test_the_network_is_unreachable(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"ls /sys/class/net 2>/dev/null; cat /proc/net/dev; : < /dev/tcp/127.0.0.1/{port}"
        ended, log = bench.finish("bash", "-c", script)
    assert ended.cause is Cause.EXIT_CODE
    assert [line.split(":")[0].strip() for line in log.splitlines() if ":" in line][0] == "lo"
    assert "eth0" not in log
    ended, log = bench.finish("bash", "-c", ": < /dev/tcp/192.0.2.1/80")
    assert ended.cause is Cause.EXIT_CODE
    assert "unreachable" in log


def test_the_environment_is_the_ensembles_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMS_PASSPHRASE", "secret")
    _, log = bench.finish("env", params={"environment": ["GREETING=hello = world", "LD_PRELOAD="]})
    variables = dict(line.split("=", 1) for line in log.splitlines())
    assert variables.pop("GREETING") == "hello = world"
    assert set(variables) <= {"PATH", "HOME", "USER", "PWD", "OLDPWD", "LD_PRELOAD", "SHLVL", "_"}


def test_a_preloaded_library_never_reaches_the_program_outside(bench: Bench, tmp_path: Path) -> None:
    library = tmp_path / "missing.so"
    _, log = bench.finish("true", params={"environment": [f"LD_PRELOAD={library}"]})
    warned = [line for line in log.splitlines() if "missing.so" in line]
    assert all(line.startswith("ERROR: ld.so") for line in warned)
    ended, log = bench.finish("sh", "-c", "exit 0", params={"environment": {"PATH": "/nowhere:/bin"}})
    assert ended.cause is Cause.COMPLETED, log


def test_volumes_are_mounted_with_their_mode(bench: Bench, tmp_path: Path) -> None:
    for name in ("open", "fixed"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
        (tmp_path / name / "there").write_text(name)
    mounts = (Mount(tmp_path / "open", "/data"), Mount(tmp_path / "fixed", "/fixed", read_only=True))
    ended, log = bench.finish(
        "sh", "-c", "cat /data/there /fixed/there; echo new > /data/new; echo x > /fixed/x", mounts=mounts
    )
    assert log.startswith("openfixed")
    assert ended.cause is Cause.EXIT_CODE
    assert (tmp_path / "open" / "new").read_text() == "new\n"
    assert not (tmp_path / "fixed" / "x").exists()


@pytest.mark.parametrize(
    ("members", "cause", "word"),
    [
        ({"ports": (PortBinding(20000, 80),)}, Cause.START_FAILED, "network"),
        ({"gpus": ({"index": 0},)}, Cause.START_FAILED, "GPU"),
        ({"params": {"image": "busybox"}}, Cause.START_FAILED, "image"),
        ({"params": {"user": "root"}}, Cause.START_FAILED, "user"),
        ({"params": {"cmd": []}}, Cause.START_FAILED, "cmd"),
        ({"params": {"environment": ["1=2"]}}, Cause.START_FAILED, "environment"),
        ({"ram_bytes": 0}, Cause.START_FAILED, "memory"),
        ({"execution_id": "../escape"}, Cause.START_FAILED, "execution id"),
        ({"mounts": (Mount(Path("/tmp"), "/proc"),)}, Cause.START_FAILED, "/proc"),
        ({"params": {"privileged": True}}, Cause.CONFINEMENT, "privileged"),
        ({"params": {"NetworkMode": "host"}}, Cause.CONFINEMENT, "namespace"),
    ],
)
def test_what_it_cannot_give_is_refused(
    bench: Bench, members: dict[str, Any], cause: Cause, word: str
) -> None:
    with pytest.raises(ExecutorError) as refused:
        bench.start("true", **members)
    assert refused.value.cause is cause
    assert word in refused.value.detail


def test_without_the_programs_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = ProcessExecutor("did:key:none", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = executor.availability()
    assert not found.available
    assert "bwrap" in found.detail
    assert "unshare" in found.detail
    assert "install" in found.hint
    request = replace(Bench(executor, tmp_path, "did:key:none").request("true"))
    with pytest.raises(ExecutorError, match="no sandbox can be made") as refused:
        executor.start(request)
    assert refused.value.cause is Cause.CONFINEMENT
    assert not (tmp_path / "work").exists()

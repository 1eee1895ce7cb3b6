"""The sandbox for a worker that is an ordinary user: with a delegated control group it runs, without it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.require import ROOT, require
from workers.executors.process.cgroups import Groups, remove
from workers.executors.process.state import node_hash

USER = 65_534
PYTHON = "/usr/bin/python3"
PROGRAM = """
import dataclasses, json, pathlib, sys, time
root, home, did, backend = sys.argv[1:]
sys.path.insert(0, root)
from deployments.outside import Command
from workers.executors.base import ExecutionRequest, ExecutorError
from workers.executors.process import ProcessExecutor
executor = ProcessExecutor(did, pathlib.Path(home), backend=backend)
found = executor.availability()
answer = {"available": found.available, "detail": found.detail, "hint": found.hint}
if found.available:
    request = ExecutionRequest(
        execution_id="one", allocation_id="a", deployment_id="d", attempt=1, node_did=did, owner_did=did,
        type="task", params={"cmd": ["sh", "-c", "id -u; x=x; while :; do x=$x$x; done"]}, cpu_centicores=100,
        ram_bytes=32 << 20, disk_bytes=1 << 20, work_dir=pathlib.Path(home),
    )
    executor.start(request)
    answer["log"] = b"".join(executor.logs("one", stream="stdout", follow=True)).decode()
    answer["cause"] = executor.inspect("one").cause
    executor.remove("one")
    executor.start(dataclasses.replace(request, execution_id="two", params={"cmd": ["sleep", "1000"]}))
    terminal = executor.open_terminal("two", Command(argv=("sh", "-c", "id -u; stty size"), tty=True, rows=11))
    said = b""
    while piece := terminal.read():
        said += piece[1]
    answer["inside"] = [said.decode(), terminal.wait()]
    terminal.close()
    executor.remove("two")
print(json.dumps(answer))
"""


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    require("root")
    require("cgroup")
    folder = Path("/tmp") / f"dms-ordinary-{uuid.uuid4().hex[:12]}"
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    # Whole packages below a folder that the user can reach, whatever the checkout's modes are.
    code = folder / "code"
    for name in ("capabilities", "deployments", "workers"):
        for source in (ROOT / name).rglob("*.py"):
            target = code / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    yield folder
    shutil.rmtree(folder)


def ask(home: Path, did: str, backend: str) -> dict[str, object]:
    """Run PROGRAM as the ordinary user."""
    command = [PYTHON, "-I", "-B", "-c", PROGRAM, str(home / "code"), str(home), did, backend]
    probe = subprocess.run(
        [PYTHON, "-c", "import enum; enum.StrEnum"], user=USER, group=USER, capture_output=True
    )
    if probe.returncode:
        pytest.skip(f"{PYTHON} is older than 3.11 or an ordinary user cannot run it")
    done = subprocess.run(
        command, user=USER, group=USER, extra_groups=[], cwd="/", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("backend", ["bwrap", "unshare"])
def test_without_a_delegated_group_it_refuses(home: Path, backend: str) -> None:
    require("bwrap" if backend == "bwrap" else "userns")
    answer = ask(home, f"did:key:{uuid.uuid4().hex}", backend)
    assert not answer["available"]
    assert "control group" in str(answer["detail"]) or "cgroup" in str(answer["detail"])
    assert "Delegate=yes" in str(answer["detail"]) + str(answer["hint"])


@pytest.mark.parametrize("backend", ["bwrap", "unshare"])
def test_with_a_delegated_group_it_runs_and_limits(home: Path, backend: str) -> None:
    require("bwrap" if backend == "bwrap" else "userns")
    did = f"did:key:{uuid.uuid4().hex}"
    groups = Groups(node_hash(did))
    group = groups.create("delegated", ram_bytes=1 << 30, pids=1024, cpu_centicores=100)
    if group.unified:
        pytest.skip("cgroup version 2 delegates to a running session, not to a folder")
    try:
        for folder in group.folders:
            folder.rmdir()
            os.chown(folder.parent, USER, USER)
        answer = ask(home, did, backend)
        assert answer["available"], answer
        assert answer["log"] == "65534\n"
        assert answer["cause"] == "oom_killed"
        assert answer["inside"] == ["65534\r\n11 80\r\n", 0]
    finally:
        remove(group.folders)

"""The lock is the truth; files that lie or are damaged do no harm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dmsweb.home import Home
from dmsweb.launch import control, table


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_only_one_holds_the_lock(home: Home) -> None:
    lock = table.take_lock(home)
    assert lock is not None
    assert table.running_pid(home) == os.getpid()
    assert table.take_lock(home) is None
    lock.close()
    assert table.running_pid(home) is None


def test_a_stale_pid_file_does_not_mean_running(home: Home) -> None:
    home.path("run", "supervisor.lock").write_text(f"{os.getpid()}\n")
    table.write_json(
        home.path("run", "site.json"), {"url": "http://127.0.0.1:1", "pid": os.getpid(), "ready": True}
    )
    assert table.running_pid(home) is None
    status = control.status(home)
    assert (status["ready"], status["running"], status["url"], status["processes"]) == (
        False,
        False,
        None,
        [],
    )
    assert control.stop(home) is False


def test_damaged_files_read_as_empty(home: Home) -> None:
    path = home.path("run", "processes.json")
    path.write_text('{"processes": [')
    assert table.read_json(path) == {}
    path.write_text("[]")
    assert table.read_json(path) == {}
    assert table.end_leftovers(home) == []


def test_leftovers_end_and_strangers_with_the_same_pid_stay(home: Home) -> None:
    left = subprocess.Popen(["sleep", "60"], process_group=0)
    stranger = subprocess.Popen(["sleep", "60"], process_group=0)
    try:
        entries = [
            {"pid": left.pid, "start_ticks": table.start_ticks(left.pid)},
            {"pid": stranger.pid, "start_ticks": 1},
            {"pid": None, "start_ticks": None},
        ]
        table.write_json(home.path("run", "processes.json"), {"processes": entries})
        assert table.end_leftovers(home) == [left.pid]
        assert left.wait(10) == -9
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        left.kill()


def test_the_status_of_a_home_that_does_not_exist(tmp_path: Path) -> None:
    status = control.status(Home(tmp_path / "nothing"))
    assert not status["running"]
    assert not (tmp_path / "nothing").exists()


def test_pss_of_a_live_and_a_dead_process() -> None:
    assert table.pss_bytes(os.getpid()) > 1 << 20
    assert table.pss_bytes(2**22 + 1) == 0

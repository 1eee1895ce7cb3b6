"""One supervised process: keys by pipe, back-off, group, log."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from capabilities.numbers import NUMBERS
from dmsweb.launch.child import Child, Recipe
from tests.support.services import wait_for


def child(tmp_path: Path, code: str, *, keys: bool = False) -> Child:
    return Child(
        Recipe("test", [sys.executable, "-c", code], {"MARK": "here"}, tmp_path / "log", wants_keys=keys)
    )


def died(process: Child, now: float) -> bool:
    wait_for(lambda: process.poll(now), what="the death of the child")
    return process.state == "restarting"


def test_keys_come_through_the_pipe_and_nowhere_else(tmp_path: Path) -> None:
    code = (
        "import os;fd=int(os.environ['DMS_KEYS_FD']);print(os.read(fd,9999).decode(), os.read(fd,1));"
        "print('secret' in str(os.environ), os.environ['MARK'])"
    )
    process = child(tmp_path, code, keys=True)
    process.start(0, {"dms": "secret"})
    assert died(process, 1)
    assert (tmp_path / "log").read_text() == '{"dms": "secret"} b\'\'\nFalse here\n'


def test_a_process_without_keys_gets_no_pipe(tmp_path: Path) -> None:
    process = child(tmp_path, "import os;print(os.environ.get('DMS_KEYS_FD'), os.listdir('/proc/self/fd'))")
    process.start(0, {"dms": "secret"})
    assert died(process, 1)
    assert (tmp_path / "log").read_text() == "None ['0', '1', '2', '3']\n"


def test_back_off_doubles_to_its_limit_and_health_resets_it(tmp_path: Path) -> None:
    process = child(tmp_path, "raise SystemExit(3)")
    waits = []
    now = 0.0
    for _ in range(8):
        process.start(now, {})
        assert died(process, now + 1)
        waits.append(process.next_start_at - (now + 1))
        assert not process.due(process.next_start_at - 0.01)
        assert process.due(process.next_start_at)
        now = process.next_start_at
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    process.start(now, {})
    assert died(process, now + NUMBERS.restart_healthy_s)
    assert process.next_start_at == now + NUMBERS.restart_healthy_s + 0.5
    assert (process.restarts, process.last_exit, process.pid) == (9, 3, None)


def test_what_a_dead_process_left_in_its_group_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import subprocess;p=subprocess.Popen(['sleep','60']);open({str(note)!r},'w').write(str(p.pid))"
    process = child(tmp_path, code)
    process.start(0, {})
    assert died(process, 1)
    left = int(note.read_text())
    wait_for(lambda: not Path(f"/proc/{left}").exists() or " Z " in Path(f"/proc/{left}/stat").read_text())


def test_stopping_is_term_then_kill(tmp_path: Path) -> None:
    code = "import signal,time;signal.signal(15,signal.SIG_IGN);print('up',flush=True);time.sleep(60)"
    process = child(tmp_path, code)
    process.start(0, {})
    wait_for(lambda: (tmp_path / "log").read_text(), what="the child's word")
    process.terminate()
    assert not process.gone()
    process.kill()
    wait_for(process.gone, what="the end of the child")
    assert process.state == "stopped"
    assert process.document()["pid"] is None


@pytest.mark.parametrize("name", ["start_ticks", "pid", "state", "restarts", "last_exit"])
def test_the_line_in_the_process_table(tmp_path: Path, name: str) -> None:
    process = child(tmp_path, "import time;time.sleep(60)")
    process.start(0, {})
    try:
        assert name in process.document()
        assert process.document()["start_ticks"] > 0
        assert os.getpgid(process.document()["pid"]) == process.pid
    finally:
        process.kill()
        wait_for(process.gone)

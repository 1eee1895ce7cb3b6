"""The worker's queues, its periodic wake-ups and its sign of life."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery

from workers.bootsteps import Alive, DueAtStart, add_steps
from workers.celery_worker import queues, worker_arguments


def test_a_worker_serves_its_own_node() -> None:
    assert queues("n1") == ["orchestrator", "network", "monitor", "executor.n1"]
    arguments = worker_arguments("n1")
    assert "--pool=threads" in arguments
    assert "--queues=orchestrator,network,monitor,executor.n1" in arguments


def test_everything_is_due_once_at_start_and_then_in_its_turn() -> None:
    app = Celery("t", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {
        "sample": {"task": "x.sample", "schedule": 10.0, "options": {"queue": "monitor"}}
    }
    scheduler = DueAtStart(app=app)
    (entry,) = [entry for name, entry in scheduler.schedule.items() if name == "sample"]
    assert entry.is_due()[0]
    after = next(entry)
    assert not after.is_due()[0]
    assert after.options == {"queue": "monitor"}


def test_the_sign_of_life_is_the_workers_pid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Callable[[], None]] = []

    def call_repeatedly(seconds: float, call: Callable[[], None]) -> SimpleNamespace:
        calls.append(call)
        return SimpleNamespace(cancel=calls.clear)

    timer = SimpleNamespace(call_repeatedly=call_repeatedly)
    consumer = SimpleNamespace(timer=timer)
    file = tmp_path / "alive"
    monkeypatch.setenv("DMS_ALIVE_FILE", str(file))
    step = Alive(consumer)
    step.start(consumer)
    assert file.read_text() == f"{os.getpid()}\n"
    os.utime(file, (0, 0))
    calls[0]()
    assert file.stat().st_mtime > 0
    step.stop(consumer)
    assert calls == []


def test_the_steps_are_added() -> None:
    app = Celery("t", broker="memory://", set_as_current=False)
    add_steps(app)
    assert Alive in app.steps["consumer"]

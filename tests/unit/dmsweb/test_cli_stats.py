"""The verb stats over canned answers: what it prints, when it prints again, when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from dmsweb.cli import stats
from dmsweb.cli.session import Session

FIGURES: dict[str, Any] = {
    "deployment": "web",
    "name": "here.one",
    "status": "running",
    "at": "2026-01-01T00:00:00+00:00",
    "cpu_percent": 12.5,
    "cpu_cores_granted": 0.5,
    "ram_used_bytes": 3 << 20,
    "ram_limit_bytes": 64 << 20,
    "rx_bytes_per_s": 2048.0,
    "tx_bytes_per_s": None,
    "read_bytes_per_s": 0.0,
    "written_bytes_per_s": 0.0,
    "disk_used_bytes": None,
    "pids": 2,
    "gpus": [],
}
GPU = {
    "index": 0,
    "model": "A10",
    "busy_percent": None,
    "vram_used_bytes": None,
    "vram_used_by_all_bytes": 1 << 30,
    "vram_granted_bytes": 8 << 30,
}


class Canned(Session):
    """A session that answers from a list, and the deployment's status after it."""

    def __init__(self, *answers: list[dict[str, Any]], status: str = "Running") -> None:
        super().__init__()
        self.answers, self.status = list(answers), status

    def call(self, path: str, payload: Any = None, *, timeout_s: float | None = None) -> dict[str, Any]:
        if path.endswith("/status"):
            return {"Status": self.status}
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {"Allocations": found, "Total": len(found), "IntervalSeconds": 10.0}


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    naps: list[float] = []
    monkeypatch.setattr("dmsweb.cli.stats.time.sleep", naps.append)
    return naps


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"Allocations": [FIGURES, FIGURES | {"gpus": [GPU], "at": None, "status": "completed"}]}
    stats.print_figures(Session().output, answer)
    first, one, ended, gpu = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["allocation", "cpu"]
    assert "web/here.one  12.5 %     0.5 cores  3 MiB" in one
    assert "2 KiB/s" in one
    assert "completed" in ended
    assert gpu.endswith("GPU 0 A10: 1 GiB used by all of 8 GiB")


def test_watching_tells_each_sample_once_and_ends_with_the_deployment(slept: list[float]) -> None:
    later = FIGURES | {"at": "2026-01-01T00:00:10+00:00"}
    over = FIGURES | {"at": None, "status": "terminated"}
    session = Canned([FIGURES], [FIGURES], [later], [later], [over])
    told = [answer["Allocations"][0] for answer in stats.samples(session, "web")]
    assert told == [FIGURES, later, over]
    assert max(slept) < 10  # a new sample is looked for before it is due, never much more often


def test_watching_waits_for_what_is_not_placed_yet_and_not_for_what_never_will_be() -> None:
    over = FIGURES | {"status": "completed", "at": None}
    assert len(list(stats.samples(Canned([], [], [over]), "web"))) >= 1
    assert len(list(stats.samples(Canned([], status="Failed"), "web"))) == 1


def test_ctrl_c_ends_it() -> None:
    session = Canned([FIGURES])
    session.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        list(stats.samples(session, "web"))

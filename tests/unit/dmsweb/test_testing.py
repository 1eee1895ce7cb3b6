"""What `./dms test` sets up, and how it calls pytest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmsweb.launch.doctor.check import Check
from dmsweb.launch.testing import engine, packages
from dmsweb.launch.testing.run import command, databases


def test_pytest_runs_in_several_processes_unless_told_otherwise() -> None:
    assert "loadgroup" in command(["tests/unit"])
    assert command(["tests/unit"])[-1] == "tests/unit"
    assert "loadgroup" not in command(["-n0"])
    assert "loadgroup" not in command(["--pdb"])


@pytest.mark.xdist_group("together")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    """The scheduler reads a test's group from its id; a pytest that loses it spreads what is dear over all workers."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@together")


def test_ci_runs_on_both_databases_and_ends_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert databases(None) == ("postgresql", "sqlite")
    assert databases("sqlite") == ("sqlite",)
    monkeypatch.delenv("CI")
    assert databases(None) == ("sqlite",)
    assert databases("all") == ("postgresql", "sqlite")


def test_only_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name == "go" else f"/usr/bin/{name}")
    assert "golang-go" in packages.missing()
    assert "chromium" not in packages.missing()


def test_an_engine_that_answers_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "engine", lambda: Check("docker", True, "answers"))
    monkeypatch.setattr(engine, "_start", lambda program, folder: pytest.fail("started another"))
    with engine.docker_engine(tmp_path):
        pass


def test_an_engine_that_does_not_start_at_first_is_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tries: list[str] = []
    monkeypatch.setattr(engine, "engine", lambda: Check("docker", False, "nobody"))
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path=None: f"/usr/sbin/{name}")
    monkeypatch.setattr(engine, "_start", lambda program, folder: tries.append(program))
    with engine.docker_engine(tmp_path):
        pass
    assert tries == ["/usr/sbin/dockerd"] * 2
